use super::*;
use crate::model::SECOND;

/// The start of a minute.
const START: Timestamp = Timestamp(28_333_333 * 60 * SECOND);
const WEB: WorkloadId = WorkloadId(1);
const ALERTS_A_MINUTE: u32 = 60;

fn seconds(n: i64) -> Timestamp {
    START.plus(Span::seconds(n))
}

#[test]
fn rule_a5_a_workload_raises_sixty_alerts_a_minute() {
    let mut budget = Budget::new(ALERTS_A_MINUTE);
    for n in 0..60 {
        assert_eq!(budget.admit(WEB, n, START), Admit::Raise);
    }
    let (scope, minute) = (BurstScope::Workload(WEB), START.minute());
    assert_eq!(
        budget.admit(WEB, 60, seconds(59)),
        Admit::Burst {
            scope,
            minute,
            first: true
        }
    );
    assert_eq!(
        budget.admit(WEB, 61, seconds(59)),
        Admit::Burst {
            scope,
            minute,
            first: false
        }
    );
    assert_eq!(budget.admit(WorkloadId(2), 61, seconds(59)), Admit::Raise);
    assert_eq!(budget.admit(WEB, 62, seconds(60)), Admit::Raise);
    assert_eq!(budget.count(scope, minute), 2);
    assert_eq!(budget.ended(seconds(59)), []);
    assert_eq!(
        budget.ended(seconds(60)),
        [EndedBurst {
            minute,
            scope,
            count: 2
        }]
    );
    assert_eq!(budget.ended(seconds(60)), []);
    // A contact that is judged late still belongs to its minute, and its burst is told again.
    assert_eq!(
        budget.admit(WEB, 63, seconds(58)),
        Admit::Burst {
            scope,
            minute,
            first: false
        }
    );
    assert_eq!(
        budget.ended(seconds(61)),
        [EndedBurst {
            minute,
            scope,
            count: 3
        }]
    );
}

#[test]
fn rule_a5_a_destination_is_raised_for_twenty_workloads_within_ten_minutes() {
    let mut budget = Budget::new(ALERTS_A_MINUTE);
    for n in 0..20 {
        assert_eq!(budget.admit(WorkloadId(n), 7, seconds(i64::from(n))), Admit::Raise);
    }
    assert_eq!(
        budget.admit(WorkloadId(3), 7, seconds(60)),
        Admit::Raise,
        "the same workload counts once"
    );
    let (scope, minute) = (BurstScope::Destination(7), START.minute() + 1);
    assert_eq!(
        budget.admit(WorkloadId(20), 7, seconds(90)),
        Admit::Burst {
            scope,
            minute,
            first: true
        }
    );
    assert_eq!(
        budget.admit(WorkloadId(21), 7, seconds(300)),
        Admit::Burst {
            scope,
            minute,
            first: false
        }
    );
    assert_eq!(budget.admit(WorkloadId(21), 8, seconds(300)), Admit::Raise);
    assert_eq!(budget.ended(seconds(600)), []);
    assert_eq!(
        budget.ended(seconds(660)),
        [EndedBurst {
            minute,
            scope,
            count: 2
        }]
    );
    assert_eq!(
        budget.admit(WorkloadId(30), 7, seconds(1300)),
        Admit::Raise,
        "the window is empty again"
    );
}

#[test]
fn a_lasting_burst_of_a_destination_is_told_every_ten_minutes() {
    let mut budget = Budget::new(ALERTS_A_MINUTE);
    let mut first = Vec::new();
    for n in 0..240_u32 {
        let at = seconds(i64::from(n) * 10);
        if let Admit::Burst {
            minute, first: true, ..
        } = budget.admit(WorkloadId(n), 7, at)
        {
            first.push(minute - START.minute());
        }
    }
    assert_eq!(first, [3, 13, 23, 33]);
}

#[test]
fn a_step_back_of_time_starts_a_new_count() {
    let mut budget = Budget::new(ALERTS_A_MINUTE);
    let earlier = START.minus(Span::days(3));
    for at in [START, earlier, START] {
        for n in 0..60 {
            assert_eq!(budget.admit(WEB, n, at), Admit::Raise);
        }
        assert!(matches!(budget.admit(WEB, 60, at), Admit::Burst { .. }));
    }
}

#[test]
fn memory_is_bounded_and_the_present_is_kept() {
    let mut budget = Budget::new(ALERTS_A_MINUTE);
    for n in 0..40_000_u32 {
        budget.admit(WorkloadId(n), u64::from(n), START);
    }
    assert!(budget.minutes.len() <= SCOPES && budget.by_time.len() <= SCOPES);
    assert_eq!(budget.destinations.len(), budget.by_time.len());
    let late = START.plus(Span::hours(2));
    budget.admit(WEB, 1, late);
    assert_eq!((budget.minutes.len(), budget.by_time.len()), (1, 1));
}
