//! Which frame of which file a record is about, when there are several files.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{FramePlace, Record};

/// Where each file's frames begin in the order of arrival. The reader adds files, the commit thread looks them up.
#[derive(Debug, Clone, Default)]
pub(super) struct FileNumbers {
    starts: Arc<Mutex<Starts>>,
    show: bool,
}

/// How many frames came before each file, and its name.
type Starts = Vec<(u64, Arc<str>)>;

impl FileNumbers {
    /// Returns the numbers of `files` files; one alone is not named in records.
    pub fn new(files: usize) -> Self {
        Self {
            starts: Arc::default(),
            show: files > 1,
        }
    }

    /// Tells that the frame after `frames` is the first of a file.
    pub fn begin(&self, frames: u64, name: &str) {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.push((frames, Arc::from(name)));
    }

    /// Writes file and frame into a record; the order of the lines stays that of arrival.
    pub fn number(&self, record: &mut Record) {
        let (arrival, place) = match record {
            Record::Dns(record) => (record.frame, &mut record.place),
            Record::Flow(record) => (record.frame, &mut record.place),
            Record::Contact(_) => return,
        };
        if !self.show {
            return;
        }
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let at = starts.partition_point(|(start, _)| *start < arrival.0);
        if let Some((start, name)) = at.checked_sub(1).and_then(|at| starts.get(at)) {
            *place = FramePlace {
                file: Some(name.clone()),
                frame: arrival.0 - start,
            };
        }
    }
}
