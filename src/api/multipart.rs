//! Multipart uploads: the first part with a file name, streamed; everything else bounded.

use super::problem::{Code, Problem, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use multer::{Field, Multipart};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

/// So much may be waiting to be made sense of: part headers and what stands before the first
/// boundary. More is an attack.
const MAX_UNREAD_BYTES: u64 = 256 * 1024;
/// More parts before the file are refused.
const MAX_PARTS: usize = 50;
/// More bytes in the parts before the file are refused.
const MAX_FORM_BYTES: u64 = 1024 * 1024;
/// A longer boundary is refused, as RFC 2046 has it.
const MAX_BOUNDARY: usize = 70;

/// A multipart body being read.
pub struct Form {
    multipart: Multipart<'static>,
    taken: Arc<AtomicU64>,
}

/// The part that is the file.
pub struct FilePart {
    field: Field<'static>,
    taken: Arc<AtomicU64>,
    /// What its sender called it.
    pub name: String,
    /// What its sender says it is.
    pub content_type: Option<String>,
}

impl Form {
    /// Reads a body of this content type.
    pub fn new(content_type: &str, body: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Result<Form> {
        let boundary = multer::parse_boundary(content_type).ok().filter(|boundary| boundary.len() <= MAX_BOUNDARY);
        let boundary = boundary.ok_or_else(|| malformed("the content-type names no usable boundary"))?;
        let taken = Arc::new(AtomicU64::new(0));
        Ok(Form { multipart: Multipart::new(bounded(body, taken.clone()), boundary), taken })
    }

    /// The first part with a file name; the parts before it are read and dropped.
    pub async fn file(&mut self) -> Result<FilePart> {
        let mut form_bytes = 0;
        for _ in 0..MAX_PARTS {
            let Some(mut field) = self.multipart.next_field().await.map_err(broken)? else {
                return Err(Problem::new(Code::InvalidRequest, "no part of the form has a file name"));
            };
            if let Some(name) = field.file_name().map(str::to_owned) {
                let content_type = field.content_type().map(|media| media.essence_str().to_ascii_lowercase());
                return Ok(FilePart { field, taken: self.taken.clone(), name, content_type });
            }
            while let Some(chunk) = field.chunk().await.map_err(broken)? {
                form_bytes += chunk.len() as u64;
                self.taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                if form_bytes > MAX_FORM_BYTES {
                    return Err(Problem::new(Code::BodyTooLarge, "too much stands before the file in the form"));
                }
            }
        }
        Err(Problem::new(Code::BodyTooLarge, "too many parts stand before the file in the form"))
    }

    /// Reads the rest of the body: the form must end as it should.
    pub async fn finish(mut self) -> Result<()> {
        let mut parts = 0;
        while let Some(mut field) = self.multipart.next_field().await.map_err(broken)? {
            parts += 1;
            if parts > MAX_PARTS {
                return Err(Problem::new(Code::BodyTooLarge, "too many parts stand behind the file in the form"));
            }
            while let Some(chunk) = field.chunk().await.map_err(broken)? {
                self.taken.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

impl FilePart {
    /// The next piece of the file.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.field.chunk().await.map_err(broken)?;
        self.taken.fetch_add(chunk.as_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
        Ok(chunk)
    }
}

/// The crate takes whatever is ready into its buffer: it gets one piece at a time, and no more
/// while too much of what it got came out as nobody's content.
fn bounded(
    body: impl Stream<Item = Result<Bytes>> + Send + 'static,
    taken: Arc<AtomicU64>,
) -> impl Stream<Item = std::result::Result<Bytes, Problem>> + Send + 'static {
    let mut body = Box::pin(body);
    let (mut given, mut pause) = (0, false);
    futures_util::stream::poll_fn(move |cx| {
        if std::mem::take(&mut pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if given - taken.load(Ordering::Relaxed).min(given) > MAX_UNREAD_BYTES {
            return Poll::Ready(Some(Err(malformed("a boundary or a part's headers have no end"))));
        }
        let item = body.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &item {
            given += bytes.len() as u64;
            pause = true;
        }
        item
    })
}

fn malformed(why: &'static str) -> Problem {
    Problem::new(Code::MalformedMultipart, why)
}

/// A problem of our own stream comes back as itself.
fn broken(error: multer::Error) -> Problem {
    match error {
        multer::Error::StreamReadFailed(inner) => match inner.downcast::<Problem>() {
            Ok(problem) => *problem,
            Err(_) => malformed("the body ended before its end"),
        },
        _ => malformed("the body is not valid multipart/form-data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn form(body: Vec<Bytes>) -> Form {
        let stream = futures_util::stream::iter(body.into_iter().map(Ok));
        Form::new("multipart/form-data; boundary=X", stream).unwrap()
    }

    async fn content(body: &'static str) -> Result<(String, String)> {
        let mut form = form(body.as_bytes().chunks(7).map(Bytes::from_static).collect());
        let mut part = form.file().await?;
        let mut content = Vec::new();
        while let Some(chunk) = part.chunk().await? {
            content.extend_from_slice(&chunk);
        }
        let name = part.name.clone();
        drop(part);
        form.finish().await?;
        Ok((name, String::from_utf8(content).unwrap()))
    }

    #[tokio::test]
    async fn the_first_part_with_a_file_name_is_the_file() {
        let body = "--X\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nnote\r\n--X\r\n\
            content-disposition: form-data; name=\"f\"; filename=\"t.csv\"\r\ncontent-type: text/csv\r\n\r\na,b\r\n1,2\r\n--X--\r\n";
        assert_eq!(content(body).await.unwrap(), ("t.csv".to_owned(), "a,b\r\n1,2".to_owned()));
    }

    #[tokio::test]
    async fn a_form_without_a_file_or_without_an_end_is_refused() {
        let none = "--X\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nnote\r\n--X--\r\n";
        assert_eq!(content(none).await.unwrap_err().code(), Code::InvalidRequest);
        let endless = "--X\r\ncontent-disposition: form-data; name=\"f\"; filename=\"t\"\r\n\r\na,b\r\n1,2\r\n";
        assert_eq!(content(endless).await.unwrap_err().code(), Code::MalformedMultipart);
    }

    #[tokio::test]
    async fn headers_without_an_end_are_refused_before_they_fill_the_memory() {
        let mut body = vec![Bytes::from_static(b"--X\r\nx: ")];
        body.extend(std::iter::repeat_n(Bytes::from_static(&[b'a'; 16 * 1024]), 1000));
        assert_eq!(form(body).file().await.err().unwrap().code(), Code::MalformedMultipart);
    }

    #[test]
    fn a_boundary_must_be_named_and_short() {
        let long = format!("multipart/form-data; boundary={}", "x".repeat(1000));
        for content_type in ["multipart/form-data", long.as_str()] {
            let stream = futures_util::stream::empty();
            assert_eq!(Form::new(content_type, stream).err().unwrap().code(), Code::MalformedMultipart);
        }
    }

    /// Everything about a form, or how it was refused. A form that never comes to an end fails.
    async fn read(body: &[u8], cuts: &[usize]) -> Result<(String, Vec<u8>)> {
        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (body, cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at((*cuts.next().expect("there are some")).clamp(1, rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = later;
        }
        let mut form = form(pieces);
        let whole = async {
            let mut part = form.file().await?;
            let (name, mut content) = (part.name.clone(), Vec::new());
            while let Some(chunk) = part.chunk().await? {
                content.extend_from_slice(&chunk);
            }
            drop(part);
            form.finish().await?;
            Ok((name, content))
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), whole).await.expect("it comes to an end")
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_file_is_the_same_in_whatever_pieces_it_comes(
            content in prop_oneof![
                vec(any::<u8>(), 0..3000),
                // What ends a part cannot stand within one.
                "(\r|\n|-|--X|\r\n--|\r\n--Y|a){0,200}".prop_map(|text| text.replace("--X", "-_X").into_bytes()),
            ],
            cuts in vec(1..40usize, 1..20), notes in 0..3usize,
        ) {
            let note = "--X\r\ncontent-disposition: form-data; name=\"n\"\r\n\r\nnote\r\n".repeat(notes);
            let head = "--X\r\ncontent-disposition: form-data; name=\"f\"; filename=\"t\"\r\n\r\n";
            let body = [note.as_bytes(), head.as_bytes(), &content, b"\r\n--X--\r\n"].concat();
            prop_assert_eq!(run(read(&body, &cuts)).unwrap(), ("t".to_owned(), content));
        }

        #[test]
        fn any_bytes_are_a_form_or_are_refused(
            body in prop_oneof![
                vec(any::<u8>(), 0..500),
                "(--X(--)?|\r\n|\n|content-disposition: form-data|; name=\"a\"|; filename=\"b\"|;|:|x){0,30}"
                    .prop_map(String::into_bytes),
            ],
            cuts in vec(1..40usize, 1..20),
        ) {
            if let Err(problem) = run(read(&body, &cuts)) {
                prop_assert!(matches!(problem.code(), Code::MalformedMultipart | Code::InvalidRequest));
            }
        }
    }
}
