//! The `sensor` program.

fn main() -> firstcontact::command::Exit {
    firstcontact::command::sensor()
}
