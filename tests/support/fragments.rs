//! IP packets cut into fragments.

/// How packets are cut.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    /// Octets a fragment; none are cut without.
    pub octets: Option<usize>,
    /// Whether the last fragment comes first.
    pub is_reversed: bool,
    /// Which fragment is missing, counted from 1.
    pub without: Option<usize>,
    /// Which fragment is followed by another one for the same place, with all of its octets turned round.
    pub contradicted: Option<usize>,
}

impl Cut {
    /// Returns a packet's fragments in the order in which they are sent.
    pub fn fragments(&self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(octets) = self.octets else { return vec![packet] };
        let header = if packet[0] >> 4 == 4 { 20 } else { 40 };
        let mut sent = Vec::new();
        for (n, start) in (1..).zip((0..packet.len() - header).step_by(octets)) {
            let end = (start + octets).min(packet.len() - header);
            let fragment = fragment(&packet, header, start, end);
            if self.without == Some(n) {
                continue;
            }
            if self.contradicted == Some(n) {
                let mut other = fragment.clone();
                let payload = other.len() - (end - start);
                other[payload..].iter_mut().for_each(|octet| *octet = !*octet);
                sent.extend([fragment, other]);
                continue;
            }
            sent.push(fragment);
        }
        if self.is_reversed {
            sent.reverse();
        }
        sent
    }
}

/// Returns the fragment that carries these octets of a packet's payload.
fn fragment(packet: &[u8], header: usize, start: usize, end: usize) -> Vec<u8> {
    let is_last = header + end == packet.len();
    let octets = &packet[header + start..header + end];
    let mut headers = packet[..header].to_vec();
    if header == 20 {
        let field = (start / 8) as u16 | if is_last { 0 } else { 0x2000 };
        headers[2..4].copy_from_slice(&((header + octets.len()) as u16).to_be_bytes());
        headers[6..8].copy_from_slice(&field.to_be_bytes());
        return [&headers, octets].concat();
    }
    let next = std::mem::replace(&mut headers[6], 44);
    headers[4..6].copy_from_slice(&((8 + octets.len()) as u16).to_be_bytes());
    let [a, b] = (start as u16 | u16::from(!is_last)).to_be_bytes();
    [&headers, &[next, 0, a, b, 0, 0, 0, 1][..], octets].concat()
}
