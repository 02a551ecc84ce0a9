//! Which frame of which file a record is about, when there are several files.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::capture::Place;
use crate::model::{FramePlace, Record};

use super::error::RunError;
use super::places::Places;

/// Where frames come from, by their order of arrival. The reader adds files or frames, the commit thread looks them up.
#[derive(Debug, Clone, Default)]
pub(super) enum FileNumbers {
    /// There is one file, which is not named in records, or none.
    #[default]
    One,
    /// One file comes after the other.
    InARow(Arc<Mutex<Starts>>),
    /// Frames come from all files in turn.
    Merged(Arc<[Arc<str>]>, Arc<Mutex<Places>>),
}

/// How many frames came before each file, and its name.
type Starts = Vec<(u64, Arc<str>)>;

impl FileNumbers {
    /// Returns the numbers of files that are merged, by their names.
    ///
    /// # Errors
    ///
    /// When there can be no temporary file.
    pub fn merged<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, RunError> {
        let places = Places::new().map_err(RunError::Numbers)?;
        Ok(Self::Merged(names.map(Arc::from).collect(), Arc::new(places.into())))
    }

    /// Tells that the frame after `frames` is the first of a file.
    pub fn begin(&self, frames: u64, name: &str) {
        if let Self::InARow(starts) = self {
            lock(starts).push((frames, Arc::from(name)));
        }
    }

    /// Tells where the next frame of merged files comes from.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be written.
    pub fn add(&self, place: Place) -> Result<(), RunError> {
        match self {
            Self::Merged(_, places) => lock(places).push(place).map_err(RunError::Numbers),
            Self::One | Self::InARow(_) => Ok(()),
        }
    }

    /// Writes file and frame into a record; the order of the lines stays that of arrival.
    ///
    /// # Errors
    ///
    /// When the temporary file cannot be read.
    pub fn number(&self, record: &mut Record) -> Result<(), RunError> {
        let (arrival, written) = match record {
            Record::Dns(record) => (record.frame.0, &mut record.place),
            Record::Flow(record) => (record.frame.0, &mut record.place),
            Record::Contact(_) => return Ok(()),
        };
        let found = match self {
            Self::One => None,
            Self::InARow(starts) => {
                let starts = lock(starts);
                let at = starts.partition_point(|(start, _)| *start < arrival);
                let file = at.checked_sub(1).and_then(|at| starts.get(at));
                file.map(|(start, name)| (name.clone(), arrival - start))
            }
            Self::Merged(names, places) => {
                let place = lock(places).get(arrival).map_err(RunError::Numbers)?;
                place.and_then(|place| Some((names.get(place.file)?.clone(), place.frame)))
            }
        };
        if let Some((name, frame)) = found {
            *written = FramePlace {
                file: Some(name),
                frame,
            };
        }
        Ok(())
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
