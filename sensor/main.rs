//! The `sensor` program.

/// Threads free what others allocated all the time, which this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> firstcontact::command::Exit {
    firstcontact::command::sensor()
}
