//! Who opened a flow (rules F1 to F3).

use crate::flow::{FlowUpdate, Opening, Side, UDP_IDLE};
use crate::model::{FlowStart, Transport};

use super::facts::Facts;

/// Classes of ports: the lower one is more likely to listen (rule F2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum PortClass {
    WellKnown,
    Registered,
    Ephemeral,
}

/// Returns the class of a port.
pub(in super::super) const fn class(port: u16) -> PortClass {
    match port {
        0..1024 => PortClass::WellKnown,
        1024..32_768 => PortClass::Registered,
        _ => PortClass::Ephemeral,
    }
}

/// Returns the side that opened a flow and how it started, or `None` if nothing tells the sides apart.
pub(super) fn originator(
    update: &FlowUpdate,
    facts: &Facts,
    is_external: impl Fn(Side) -> bool,
) -> Option<(Side, FlowStart)> {
    let opener = update.opener;
    let other = opener.other();
    let (key, at) = (&update.key, update.last);
    let listens = |side: Side| facts.is_listening(key.segment(), key.transport(), key.endpoint(side), at);
    let class_of = |side: Side| class(key.endpoint(side).port);
    match update.opening {
        // A tunnel has no side that asks: as soon as the internal one sends, it is a contact (rule W2).
        _ if !key.transport().has_ports() => {
            let internal = if is_external(opener) { other } else { opener };
            Some((internal, FlowStart::Datagram))
        }
        Opening::Syn => Some((opener, FlowStart::Syn)),
        Opening::SynAck | Opening::Answer => Some((other, FlowStart::Midstream)),
        Opening::Datagram => {
            // What the flow itself shows tells nothing here: once it is answered, both its ports seem to listen.
            let listened =
                |side: Side| facts.was_listening(key.segment(), key.transport(), key.endpoint(side), update.first);
            // Two ports that both listen, as with NTP between servers: the first to send asks. A port that is known to
            // listen is visited, whatever the classes say.
            let answers = listened(opener) && !listened(other);
            // What was silent for longer than a minute would be another flow, so nothing that began before the source was
            // first seen is met later for the first time.
            let is_early = facts.watched(update.source, update.first) < UDP_IDLE;
            let (from_outside, to_outside) = (is_external(opener), is_external(other));
            let answers_across = class_of(opener) < class_of(other)
                && !listened(other)
                && (from_outside && !to_outside || is_early && to_outside && !from_outside);
            if answers || answers_across {
                Some((other, FlowStart::Midstream))
            } else {
                Some((opener, FlowStart::Datagram))
            }
        }
        Opening::Midstream => {
            debug_assert_eq!(key.transport(), Transport::Tcp);
            let responder = match (listens(Side::Low), listens(Side::High)) {
                (true, false) => Side::Low,
                (false, true) => Side::High,
                _ => match class_of(Side::Low).cmp(&class_of(Side::High)) {
                    std::cmp::Ordering::Less => Side::Low,
                    std::cmp::Ordering::Greater => Side::High,
                    std::cmp::Ordering::Equal => return None,
                },
            };
            Some((responder.other(), FlowStart::Midstream))
        }
    }
}
