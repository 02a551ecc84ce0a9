//! Who opened a flow (rules F1 to F3).

use crate::flow::{FlowUpdate, Opening, Side};
use crate::model::{FlowStart, Transport};

use super::facts::Facts;

/// Classes of ports: the lower one is more likely to listen (rule F2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PortClass {
    WellKnown,
    Registered,
    Ephemeral,
}

const fn class(port: u16) -> PortClass {
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
        Opening::SynAck => Some((other, FlowStart::Midstream)),
        Opening::Datagram => {
            // What the flow itself shows tells nothing here: once it is answered, both its ports seem to listen.
            let listened =
                |side: Side| facts.was_listening(key.segment(), key.transport(), key.endpoint(side), update.first);
            // Two ports that both listen, as with NTP between servers: the first to send asks. A port that is known to
            // listen is visited, whatever the classes say.
            let answers = listened(opener) && !listened(other);
            let answers_from_outside =
                is_external(opener) && !is_external(other) && class_of(opener) < class_of(other) && !listened(other);
            if answers || answers_from_outside {
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
