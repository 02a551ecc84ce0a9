//! The `sensor` program.

/// Threads free what others allocated all the time, which this allocator is made for. Built without transparent huge pages:
/// tables grow by small pieces all over memory, so that pages of 2 MiB hold a tenth more than is used and bring no speed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> firstcontact::command::Exit {
    firstcontact::command::sensor()
}
