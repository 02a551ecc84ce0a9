use proptest::prelude::*;

use super::*;
use crate::model::AggregateRule;

/// Rows of name, domain, tenant.
const ROWS: &str = include_str!("../../tests/data/destinations.tsv");

fn built_in() -> Aggregation {
    Aggregation::new(&Policy::default()).unwrap()
}

fn with(rule: AggregateRule) -> Result<Aggregation, AggregationError> {
    Aggregation::new(&Policy {
        aggregates: vec![rule],
        ..Policy::default()
    })
}

fn destination(domain: &str, tenant: Option<&str>) -> Destination {
    Destination {
        domain: domain.into(),
        tenant: tenant.map(Arc::from),
    }
}

fn disagreements(rows: &str) -> Vec<String> {
    let aggregation = built_in();
    rows.lines()
        .filter(|row| !row.starts_with('#') && !row.is_empty())
        .filter_map(|row| {
            let mut fields = row.split('\t');
            let [name, domain, tenant] = std::array::from_fn(|_| fields.next().unwrap());
            let expected = destination(domain, (tenant != "-").then_some(tenant));
            let found = aggregation.destination(name);
            (found != expected).then(|| format!("{name}: {found:?}, expected {expected:?}"))
        })
        .collect()
}

#[test]
fn rules_d1_to_d3_every_name_of_the_table_leads_where_the_table_says() {
    assert_eq!(disagreements(ROWS), Vec::<String>::new());
}

#[test]
fn rules_d1_to_d3_the_table_beside_the_design_agrees_where_it_is_at_hand() {
    // Tests run in the package's folder; the path that a compiler saw may be that of another checkout.
    if let Ok(rows) = std::fs::read_to_string("../shared/destinations.tsv") {
        assert_eq!(disagreements(&rows), Vec::<String>::new());
    }
}

#[test]
fn rule_d1_the_empty_name_stands_for_the_root() {
    assert_eq!(built_in().destination(""), destination(".", None));
}

#[test]
fn rule_d1_names_of_any_length_are_taken() {
    let long = "a.".repeat(100_000) + "example.com";
    assert_eq!(built_in().destination(&long), destination("example.com", None));
    let long = "-".repeat(100_000) + ".amazonaws.com";
    assert_eq!(built_in().destination(&long), destination(&long, None));
}

#[test]
fn rule_d1_a_list_in_the_settings_replaces_the_one_compiled_in() {
    let list = "// ===BEGIN ICANN DOMAINS===\ncom\nnet\n*.ck\n!www.ck\n公司.cn\n\
                // ===BEGIN PRIVATE DOMAINS===\nshop.example.com\n";
    let aggregation = Aggregation::new(&Policy {
        public_suffix_list: Some(list.into()),
        ..Policy::default()
    })
    .unwrap();
    for (name, domain, tenant) in [
        ("www.example.co.uk", "co.uk", None),
        ("a.b.shop.example.com", "example.com", Some("b.shop.example.com")),
        ("a.b.c.ck", "b.c.ck", None),
        ("a.www.ck", "www.ck", None),
        ("a.b.xn--55qx5d.cn", "b.xn--55qx5d.cn", None),
        (
            "x.s3.eu-west-1.amazonaws.com",
            "s3.amazonaws.com",
            Some("x.s3.amazonaws.com"),
        ),
    ] {
        assert_eq!(aggregation.destination(name), destination(domain, tenant), "{name}");
    }
}

#[test]
fn rule_d1_a_list_without_rules_is_refused() {
    let refused = Aggregation::new(&Policy {
        public_suffix_list: Some("<html>".into()),
        ..Policy::default()
    });
    assert!(matches!(refused, Err(AggregationError::SuffixList(_))));
}

#[test]
fn rule_d4_a_rule_of_the_settings_has_the_form_of_the_built_in_ones() {
    let aggregation = with(AggregateRule {
        suffix: "Cloud.Example.".into(),
        strip: vec!["eu*".into(), "-v#".into()],
        tenant: true,
        ..AggregateRule::default()
    })
    .unwrap();
    for (name, domain, tenant) in [
        (
            "customer.storage-v2.eu1.cloud.example",
            "storage.cloud.example",
            Some("customer.storage.cloud.example"),
        ),
        ("eu1.cloud.example", "cloud.example", None),
        ("notcloud.example", "notcloud.example", None),
    ] {
        assert_eq!(aggregation.destination(name), destination(domain, tenant), "{name}");
    }
}

#[test]
fn rule_d4_a_rule_of_the_settings_replaces_the_built_in_one_with_its_suffix() {
    let aggregation = with(AggregateRule {
        suffix: "amazonaws.com".into(),
        ..AggregateRule::default()
    })
    .unwrap();
    let found = aggregation.destination("bucket.s3.us-east-1.amazonaws.com");
    assert_eq!(found, destination("us-east-1.amazonaws.com", None));
}

#[test]
fn rule_d4_a_rule_that_cannot_match_is_refused_by_its_key() {
    let rule = |suffix: &str| AggregateRule {
        suffix: suffix.into(),
        ..AggregateRule::default()
    };
    let strip = |entry: &str| AggregateRule {
        strip: vec![entry.into()],
        ..rule("example.com")
    };
    let alias = AggregateRule {
        alias_of: Some("nowhere.example".into()),
        ..rule("example.com")
    };
    for (rule, key) in [
        (rule(""), "suffix"),
        (rule("a..b"), "suffix"),
        (strip(""), "strip"),
        (strip("a.b"), "strip"),
        (strip("*"), "strip"),
        (alias, "alias_of"),
    ] {
        let Err(AggregationError::Rule { index: 0, field, .. }) = with(rule) else {
            panic!("{key}")
        };
        assert_eq!(field, key);
    }
}

/// Names that come near the rules as well as any text.
fn names() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        "[a-z0-9-]{1,8}",
        "(s3|ec2|elb|rds|compute-1|kms-fips|dualstack|dualstack-fips|vpce|use1|us-east-1|x-us-east-1|api|on)",
        "(com|net|io|github|co|uk|amazonaws|aws|cn|jp|kawasaki|core|windows|blob|\\*)",
        "\\PC{0,4}",
        "[\\\\.A-Z_]{0,3}",
    ];
    prop_oneof![
        8 => proptest::collection::vec(label, 0..7).prop_map(|labels| labels.join(".")),
        1 => ".*",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_text_leads_somewhere_and_its_domain_leads_to_itself(name in names()) {
        let aggregation = built_in_once();
        let first = aggregation.destination(&name);
        prop_assert!(!first.domain.is_empty());
        let again = aggregation.destination(&first.domain);
        prop_assert_eq!(&again.domain, &first.domain);
        if let Some(tenant) = &first.tenant {
            let end = format!(".{}", first.domain);
            prop_assert!(tenant.ends_with(&end));
        }
    }

    #[test]
    fn a_suffix_matches_at_label_boundaries_only(before in "[a-z0-9]{1,12}") {
        let aggregation = built_in_once();
        for suffix in ["amazonaws.com", "amazonaws.com.cn"] {
            let glued = format!("{before}{suffix}");
            let found = aggregation.destination(&format!("bucket.s3.{glued}"));
            prop_assert_eq!(&*found.domain, glued.as_str());
        }
        let behind = aggregation.destination(&format!("s3.amazonaws.com.{before}x.com"));
        let expected = format!("{before}x.com");
        prop_assert_eq!(&*behind.domain, expected.as_str());
    }

    #[test]
    fn case_and_the_dot_of_the_root_do_not_matter(name in "[a-z0-9.-]{0,30}[a-z]") {
        let aggregation = built_in_once();
        let plain = aggregation.destination(&name);
        prop_assert_eq!(aggregation.destination(&format!("{}.", name.to_uppercase())), plain);
    }
}

fn built_in_once() -> &'static Aggregation {
    static BUILT_IN: std::sync::OnceLock<Aggregation> = std::sync::OnceLock::new();
    BUILT_IN.get_or_init(built_in)
}
