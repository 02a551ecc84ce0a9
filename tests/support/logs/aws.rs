//! Logs of AWS.

use serde_json::json;

use super::{Flow, Lookup, SECOND, iso};

/// Returns a VPC flow log with flags: a row for each direction, and for a long flow one for each 3,000 s.
pub fn vpc_flows(flows: &[Flow]) -> String {
    let header = "version interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end tcp-flags action log-status";
    let mut rows = vec![header.to_owned()];
    for flow in flows {
        let stretches = ((flow.last - flow.first) / (3000 * SECOND) + 1) as u64;
        for stretch in 0..stretches {
            for (n, way) in flow.ways.iter().enumerate().filter(|(_, way)| way.packets > 0) {
                let (from, to) = (flow.ends[n], flow.ends[1 - n]);
                // What one row has too much of packets and octets, the first one has.
                let share = |whole: u64| {
                    if stretch == 0 {
                        whole - whole / stretches * (stretches - 1)
                    } else {
                        whole / stretches
                    }
                };
                // ACK by itself is not among the flags.
                let flags = match way.flags & 0x07 {
                    0x02 if way.flags & 0x10 != 0 && n == 1 => 18,
                    flags if flags & 0x02 != 0 && n == 1 => flags | 0x10,
                    flags => flags,
                };
                let begin = flow.first / SECOND + stretch as i64 * 3000;
                let end = if stretches == 1 { flow.last / SECOND } else { begin };
                let packets = share(way.packets);
                let frames = share(way.framed - 14 * way.packets);
                rows.push(format!(
                    "3 eni-1 {} {} {} {} {} {packets} {frames} {begin} {end} {} ACCEPT OK",
                    from.0,
                    to.0,
                    from.1,
                    to.1,
                    if flow.is_tcp { 6 } else { 17 },
                    if flow.is_tcp { flags.to_string() } else { "0".to_owned() },
                ));
            }
        }
    }
    rows.push("3 eni-1 - - - - - - - 1772452800 1772452860 - - NODATA".to_owned());
    rows.join("\n") + "\n"
}

/// Returns a query log of the Route 53 resolver.
pub fn route53(lookups: &[Lookup]) -> String {
    let rows = lookups.iter().map(|lookup| {
        let aliases = lookup
            .chain
            .iter()
            .map(|name| json!({"Rdata": format!("{name}."), "Type": "CNAME", "Class": "IN"}));
        let addresses = lookup.answers.iter().map(|(address, _)| {
            let kind = if address.contains(':') { "AAAA" } else { "A" };
            json!({"Rdata": address, "Type": kind, "Class": "IN"})
        });
        json!({
            "version": "1.100000", "query_timestamp": iso(lookup.at, 0, "").trim_end_matches('.').to_owned() + "Z",
            "query_name": format!("{}.", lookup.name), "query_type": "A", "rcode": "NOERROR",
            "answers": aliases.chain(addresses).collect::<Vec<_>>(), "srcaddr": lookup.client, "srcport": "51000",
            "transport": "UDP",
        })
    });
    rows.map(|row| format!("{row}\n")).collect()
}
