//! The process that works on pictures: what a file does to it, it does to nobody else.

use super::picture::Refused;
use super::room::Room;
use super::wire::{self, Reply, Request};
use super::work::{self, Begun};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::io::{self, Read, Write};
use std::sync::mpsc;

/// All that it may ever address: 50 megapixels in colour with transparency, twice, and what is made of them.
const MAX_ADDRESS_BYTES: u64 = 1280 * 1024 * 1024;
/// What one picture may take of a CPU; more than any that is not hostile.
const MAX_CPU_SECONDS: u64 = 30;

/// Works on pictures as it is told by its standard input, until that ends: with whoever started it, however that
/// ended. Answers the exit code.
pub fn serve_pictures() -> i32 {
    if let Err(error) = confine() {
        // Nowhere but here: whoever started it does not listen to this.
        let _ = writeln!(io::stderr(), "errand: no limits: {error}");
        return 1;
    }
    let (tell, told) = mpsc::sync_channel(1);
    // A thread of its own hears that the node is gone, also in the middle of a picture.
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(request) = hear(&mut input) {
            if tell.send(request).is_err() {
                break;
            }
        }
        std::process::exit(0);
    });
    let mut output = io::stdout().lock();
    let (mut begun, mut room) = (None, Room::default());
    while let Ok((request, files)) = told.recv() {
        if answer(request, files, &mut begun, &mut room, &mut output).is_err() {
            break;
        }
    }
    0
}

/// What is asked, with the files that follow it: the watermark's and the picture's.
fn hear(input: &mut impl Read) -> io::Result<(Request, [Vec<u8>; 2])> {
    let request = wire::listen(input)?;
    let lengths = match &request {
        Request::Open { mark_bytes, bytes, .. } => [*mark_bytes, *bytes],
        Request::Make => [0, 0],
    };
    let mut files = [Vec::new(), Vec::new()];
    for (file, bytes) in files.iter_mut().zip(lengths) {
        file.reserve_exact(bytes as usize);
        if input.take(bytes).read_to_end(file)? as u64 != bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((request, files))
}

fn answer(
    request: Request,
    [mark, file]: [Vec<u8>; 2],
    begun: &mut Option<Begun>,
    room: &mut Room,
    output: &mut impl Write,
) -> io::Result<()> {
    let refused = |refused: Refused| (Reply::Refused(refused), Vec::new());
    let (reply, files) = match (request, begun.take()) {
        (Request::Open { job, .. }, _) => {
            more_cpu()?;
            match work::begin(job, mark.into(), file.into()) {
                Ok(picture) => (Reply::Opened(begun.insert(picture).mib()), Vec::new()),
                Err(why) => refused(why),
            }
        }
        (Request::Make, Some(picture)) => match picture.make(room) {
            Ok((made, files)) => (Reply::Made(made), files),
            Err(why) => refused(why),
        },
        (Request::Make, None) => return Err(io::Error::other("nothing was begun")),
    };
    wire::answer(output, &reply)?;
    files.iter().try_for_each(|file| output.write_all(file))?;
    output.flush()
}

/// Takes from itself what no picture needs. What it took it cannot give itself again.
fn confine() -> io::Result<()> {
    for (resource, most) in [(Resource::As, MAX_ADDRESS_BYTES), (Resource::Core, 0), (Resource::Fsize, 0)] {
        let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    // Where the machine's memory ends, this goes before anything that matters. No matter if it can't be said.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    more_cpu()
}

/// Gives the next picture its share of the CPU.
fn more_cpu() -> io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime).tv_sec as u64;
    let maximum = getrlimit(Resource::Cpu).maximum;
    let until = used + MAX_CPU_SECONDS;
    let current = Some(maximum.map_or(until, |maximum| maximum.min(until)));
    Ok(setrlimit(Resource::Cpu, Rlimit { current, maximum })?)
}
