//! The three files of `--records`: what the sensor saw.

use std::path::Path;

use serde::Serialize;

use super::failed;
use super::spool::Spool;
use crate::model::{Arrival, Record, SinkError};

/// `dns.jsonl`, `flows.jsonl` and `contacts.jsonl` of one run, ordered by frame; lines of one frame as they came.
///
/// The files are there from the start and empty until [`RecordFiles::finish`]. Up to 16 MiB of lines for each are held
/// in memory, what is beyond waits in temporary files of the same folder, which vanish with the process.
#[derive(Debug)]
pub struct RecordFiles {
    dns: Spool,
    flows: Spool,
    contacts: Spool,
}

impl RecordFiles {
    /// Creates the folder if it is not there, and the three files, emptying those there are.
    ///
    /// # Errors
    ///
    /// When the folder or a file cannot be created.
    pub fn create(folder: &Path) -> Result<Self, SinkError> {
        std::fs::create_dir_all(folder).map_err(|error| failed(&folder.display().to_string(), error))?;
        let spool = |name: &str| {
            let path = folder.join(name);
            Spool::create(&path).map_err(|error| failed(&path.display().to_string(), error))
        };
        Ok(Self {
            dns: spool("dns.jsonl")?,
            flows: spool("flows.jsonl")?,
            contacts: spool("contacts.jsonl")?,
        })
    }

    /// Takes one line.
    ///
    /// # Errors
    ///
    /// When a temporary file cannot be written, as on a full disk. The line is kept; the owner stops in order and calls
    /// [`RecordFiles::finish`] for what can still be written.
    pub fn write(&mut self, record: &Record) -> Result<(), SinkError> {
        match record {
            Record::Dns(line) => put(&mut self.dns, line.frame, line),
            Record::Flow(line) => put(&mut self.flows, line.frame, line),
            Record::Contact(line) => put(&mut self.contacts, line.frame, line),
        }
    }

    /// Writes the three files.
    ///
    /// # Errors
    ///
    /// The first failure; the files after it are written all the same.
    pub fn finish(self) -> Result<(), SinkError> {
        let mut result = Ok(());
        for spool in [self.dns, self.flows, self.contacts] {
            let path = spool.path().display().to_string();
            result = result.and(spool.finish().map_err(|error| failed(&path, error)));
        }
        result
    }
}

fn put(spool: &mut Spool, frame: Arrival, line: &impl Serialize) -> Result<(), SinkError> {
    let result = spool.write(frame.0, line);
    result.map_err(|error| failed(&spool.path().display().to_string(), error))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::model::*;

    const HERE: Address = Address::v4([10, 0, 0, 1]);
    const THERE: Address = Address::v4([203, 0, 113, 7]);

    fn flow(frame: u64) -> Record {
        Record::Flow(FlowRecord {
            ts: Timestamp(SECOND),
            frame: Arrival(frame),
            place: Arrival(frame).into(),
            transport: Transport::Tcp,
            originator: Endpoint { ip: HERE, port: 40_000 },
            responder: Endpoint { ip: THERE, port: 443 },
            start: FlowStart::Syn,
            outcome: Outcome::Established,
            octets_out: 1,
            octets_in: 2,
            end: None,
            segment: "-".into(),
        })
    }

    fn dns(frame: u64) -> Record {
        Record::Dns(DnsRecord {
            ts: Timestamp(SECOND),
            frame: Arrival(frame),
            place: Arrival(frame).into(),
            client: HERE,
            server: THERE,
            transport: Transport::Udp,
            name: "example.edu".into(),
            address: THERE,
            ttl: 60,
            chain: [].into(),
            segment: "-".into(),
            answer_use: AnswerUse::OffPort,
        })
    }

    fn contact(frame: u64) -> Record {
        Record::Contact(ContactRecord {
            ts: Timestamp(SECOND),
            frame: Arrival(frame),
            transport: Transport::Tcp,
            originator: ContactEnd {
                ip: HERE,
                port: Some(40_000),
            },
            responder: ContactEnd {
                ip: THERE,
                port: Some(443),
            },
            segment: "-".into(),
            workload: "web".to_owned(),
            name: None,
            evidence: None,
            destination: ContactDestination {
                domain: None,
                tenant: None,
                ip: THERE,
            },
            verdict: Verdict::New,
            unexplained: Some(Unexplained::NoQuery),
        })
    }

    #[test]
    fn each_record_goes_to_its_file_in_order_of_frames() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new/records");
        let mut files = RecordFiles::create(&folder).unwrap();
        for record in [flow(9), dns(2), contact(5), flow(3)] {
            files.write(&record).unwrap();
        }
        files.finish().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let flow = |frame: u64| {
            format!(
                "{{\"ts\":\"1970-01-01T00:00:01.000000000Z\",\"frame\":{frame},\"transport\":\"tcp\",\
                 \"originator\":{{\"ip\":\"10.0.0.1\",\"port\":40000}},\"responder\":{{\"ip\":\"203.0.113.7\",\"port\":443}},\
                 \"start\":\"syn\",\"outcome\":\"established\",\"octets_out\":1,\"octets_in\":2,\"end\":null,\"segment\":\"-\"}}\n"
            )
        };
        assert_eq!(read("flows.jsonl"), flow(3) + &flow(9));
        assert!(read("dns.jsonl").ends_with(",\"chain\":[],\"segment\":\"-\",\"use\":\"off_port\"}\n"));
        assert!(read("contacts.jsonl").ends_with(",\"verdict\":\"new\",\"unexplained\":\"no_query\"}\n"));
    }

    #[test]
    fn a_full_disk_names_the_file_and_spares_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let full = folder.path().join("dns.jsonl");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        let mut files = RecordFiles::create(folder.path()).unwrap();
        for record in [dns(1), flow(1)] {
            files.write(&record).unwrap();
        }
        let error = files.finish().unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
        assert!(
            error.to_string().starts_with(&format!("{}: ", full.display())),
            "{error}"
        );
        assert!(
            std::fs::read_to_string(folder.path().join("flows.jsonl"))
                .unwrap()
                .ends_with("}\n")
        );
    }
}
