//! Names as the engine has them.

/// Returns a name in lower case, without the final dot; `.` for the root.
pub(super) fn plain_name(name: &str) -> String {
    let name = name.trim();
    let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if plain.is_empty() { ".".to_owned() } else { plain }
}
