//! The binary: see `errand --help`.

/// What a task costs is to a good part small allocations, made on one thread and freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    errand::App::new().main()
}
