//! Ports that are asked for with every packet.

/// A few ports. Nearly always it is one, and one is compared at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSet {
    first: Option<u16>,
    more: Box<[u16]>,
}

impl PortSet {
    /// Returns the set of these ports.
    #[must_use]
    pub fn new(ports: &[u16]) -> Self {
        Self {
            first: ports.first().copied(),
            more: ports.iter().skip(1).copied().collect(),
        }
    }

    /// Says whether a port is one of them.
    #[inline]
    #[must_use]
    pub fn has(&self, port: u16) -> bool {
        self.first == Some(port) || (!self.more.is_empty() && self.more.contains(&port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_its_ports_and_no_others() {
        for ports in [&[][..], &[53], &[53, 5353], &[53, 5353, 0]] {
            let set = PortSet::new(ports);
            for port in [0, 53, 54, 5353] {
                assert_eq!(set.has(port), ports.contains(&port), "{port} in {ports:?}");
            }
        }
    }
}
