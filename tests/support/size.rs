//! What folders hold.

use std::path::Path;

/// Returns how many octets the files below a folder hold.
pub fn octets(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("a size");
        if metadata.is_dir() {
            octets(&entry.path())
        } else {
            metadata.len()
        }
    });
    sizes.sum()
}
