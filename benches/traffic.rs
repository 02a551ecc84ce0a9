//! Made traffic for the benches: workloads that resolve names and open flows to what they were given.
//!
//! Deterministic: the same numbers give the same octets.

/// A frame with its time in nanoseconds.
pub struct Made {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// The whole frame.
    pub octets: Vec<u8>,
}

/// How much is made.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Flows.
    pub flows: u32,
    /// Workloads that open them.
    pub workloads: u32,
    /// Names that they ask for.
    pub names: u32,
    /// Data segments a flow.
    pub segments: u32,
}

/// The first frame's time.
const START: i64 = 1_760_000_000_000_000_000;
/// From one flow to the next.
const STEP: i64 = 50_000;

/// Makes the frames of a plan.
pub fn make(plan: Plan) -> Vec<Made> {
    let mut frames = Vec::new();
    let mut state = 1_u64;
    let mut random = move |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below.max(1))) as u32
    };
    for flow in 0..plan.flows {
        let mut time = START + i64::from(flow) * STEP;
        let mut add = |octets: Vec<u8>| {
            frames.push(Made { time, octets });
            time += 1000;
        };
        let [_, _, a, b] = random(plan.workloads).to_be_bytes();
        let client = [10, 1, a, b];
        let name = random(plan.names);
        let [_, x, y, z] = name.to_be_bytes();
        let server = [45, x, y, z];
        let port = 32_768 + (flow % 28_000) as u16;
        let resolver = [10, 0, 0, 53];
        add(udp(client, resolver, port, 53, &query(flow as u16, name)));
        add(udp(resolver, client, 53, port, &response(flow as u16, name, server)));
        add(tcp(client, server, port, 443, 1, 0x02, &[]));
        add(tcp(server, client, 443, port, 9, 0x12, &[]));
        add(tcp(client, server, port, 443, 2, 0x10, &[]));
        for n in 0..plan.segments {
            let payload = [0x17; 800];
            add(tcp(server, client, 443, port, 10 + n * 800, 0x18, &payload));
        }
    }
    frames
}

fn ip(from: [u8; 4], to: [u8; 4], protocol: u8, layer4: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, from[0], from[1], from[2], from[3], 8, 0];
    let length = (20 + layer4.len() as u16).to_be_bytes();
    frame.extend_from_slice(&[0x45, 0, length[0], length[1], 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend_from_slice(&from);
    frame.extend_from_slice(&to);
    frame.extend_from_slice(layer4);
    frame
}

fn udp(from: [u8; 4], to: [u8; 4], from_port: u16, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    for field in [from_port, to_port, 8 + payload.len() as u16, 0] {
        octets.extend_from_slice(&field.to_be_bytes());
    }
    octets.extend_from_slice(payload);
    ip(from, to, 17, &octets)
}

fn tcp(from: [u8; 4], to: [u8; 4], from_port: u16, to_port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend_from_slice(&from_port.to_be_bytes());
    octets.extend_from_slice(&to_port.to_be_bytes());
    octets.extend_from_slice(&sequence.to_be_bytes());
    octets.extend_from_slice(&[0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    octets.extend_from_slice(payload);
    ip(from, to, 6, &octets)
}

fn question(id: u16, flags: u16, answers: u16, name: u32) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [id, flags, 1, answers, 0, 0] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    for label in ["www", &format!("site-{name}"), "example"] {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    message
}

fn query(id: u16, name: u32) -> Vec<u8> {
    question(id, 0x0100, 0, name)
}

fn response(id: u16, name: u32, address: [u8; 4]) -> Vec<u8> {
    let mut message = question(id, 0x8180, 1, name);
    message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
    message.extend_from_slice(&address);
    message
}
