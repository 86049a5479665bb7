//! The binary: see `errand --help`.

fn main() {
    std::process::exit(errand::app::main());
}
