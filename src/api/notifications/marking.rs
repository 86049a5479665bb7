//! What an owner says of its notifications: bodies, read strictly.

use super::super::fields::Fields;
use super::super::filter::MAX_LABEL;
use super::super::problem::{Code, Problem, Result};
use crate::queue::notifications::Mark;
use crate::task::notification::{MAX_APART, MAX_MUTED};
use crate::task::{Mute, Place, Status, text};
use utoipa::ToSchema;

/// A longer id is none.
const MAX_ID: usize = 60;
/// What is wrong with any other text.
pub const NOT_AN_ID: &str = "must be the id of a notification";

/// One of these.
#[derive(ToSchema)]
#[schema(as = Mute)]
#[allow(dead_code)] // only for the document
pub struct MuteBody {
    #[schema(min_length = 1, max_length = 100)]
    r#type: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    queue: Option<String>,
    #[schema(inline)]
    status: Option<EndView>,
}

/// How a task ends.
#[derive(ToSchema)]
#[schema(rename_all = "UPPERCASE")]
#[allow(dead_code)]
enum EndView {
    Success,
    Failed,
    Cancelled,
}

/// What is read: one of these.
#[derive(ToSchema)]
#[schema(as = MarkRead)]
#[allow(dead_code)] // only for the document
pub struct ReadBody {
    #[schema(max_items = 200)]
    ids: Option<Vec<String>>,
    /// The id of a notification: it, and everything older.
    until: Option<String>,
    /// `true`: everything by now.
    all: Option<bool>,
}

/// What is unread again.
#[derive(ToSchema)]
#[schema(as = MarkUnread)]
#[allow(dead_code)] // only for the document
pub struct UnreadBody {
    #[schema(max_items = 200)]
    ids: Vec<String>,
}

/// What is muted from now on, and what no more.
#[derive(ToSchema)]
#[schema(as = Muting)]
#[allow(dead_code)] // only for the document
pub struct MutingBody {
    #[schema(max_items = 100)]
    mute: Option<Vec<MuteBody>>,
    #[schema(max_items = 100)]
    unmute: Option<Vec<MuteBody>>,
}

/// What is read.
pub fn read(text: &str) -> Result<Mark> {
    let mut fields = Fields::of(text, "");
    let ids = ids(&mut fields);
    let until = fields.text("until", |id| Place::of_text(id).is_none().then(|| NOT_AN_ID.to_owned()));
    let until = until.and_then(|id| Place::of_text(&id));
    let all = fields.flag("all");
    if all == Some(false) {
        fields.fail("all", "must be true");
    }
    fields.done(Code::InvalidRequest)?;
    match (ids, until, all) {
        (Some(ids), None, None) => Ok(Mark::These(ids, true)),
        (None, Some(until), None) => Ok(Mark::ReadUpTo(Some(until))),
        (None, None, Some(_)) => Ok(Mark::ReadUpTo(None)),
        _ => Err(Problem::new(Code::InvalidRequest, "send one of ids, until and all")),
    }
}

/// What is unread again.
pub fn unread(text: &str) -> Result<Mark> {
    let mut fields = Fields::of(text, "");
    let ids = ids(&mut fields);
    if ids.is_none() {
        fields.missing("ids");
    }
    fields.done(Code::InvalidRequest)?;
    Ok(Mark::These(ids.unwrap_or_default(), false))
}

/// What is muted, and what no more.
pub fn muting(text: &str) -> Result<Mark> {
    let mut fields = Fields::of(text, "");
    let (mute, unmute) = (mutes(&mut fields, "mute"), mutes(&mut fields, "unmute"));
    fields.done(Code::InvalidRequest)?;
    Ok(Mark::Mute(mute, unmute))
}

fn ids(fields: &mut Fields<'_>) -> Option<Vec<Place>> {
    let ids = fields.labels("ids", MAX_APART, MAX_ID, false)?;
    let mut places = Vec::with_capacity(ids.len());
    for (n, id) in ids.iter().enumerate() {
        match Place::of_text(id) {
            Some(place) => places.push(place),
            None => fields.fail(&format!("ids/{n}"), NOT_AN_ID),
        }
    }
    Some(places)
}

/// A list of what is muted, or no more.
fn mutes(fields: &mut Fields<'_>, name: &str) -> Vec<Mute> {
    let Some(list) = fields.take(name) else { return Vec::new() };
    let Ok(list) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(list.get()) else {
        fields.fail(name, "must be a list");
        return Vec::new();
    };
    if list.len() > MAX_MUTED {
        fields.fail(name, format!("must have at most {MAX_MUTED} items"));
        return Vec::new();
    }
    let mut mutes = Vec::with_capacity(list.len());
    for (n, one) in list.into_iter().enumerate() {
        let mut members = Fields::of(one.get(), format!("/{name}/{n}"));
        let r#type = members.label("type", MAX_LABEL).map(Mute::Type);
        let queue = members.label("queue", MAX_LABEL).map(Mute::Queue);
        let end = |word: &str| Status::from_word(word).filter(|status| status.is_finished());
        let status = members
            .text("status", |word| end(word).is_none().then(|| "must be SUCCESS, FAILED or CANCELLED".to_owned()));
        let status = status.as_deref().and_then(end).map(Mute::Status);
        let said: Vec<Mute> = [r#type, queue, status].into_iter().flatten().collect();
        let mut wrong = members.finish();
        if wrong.is_empty() && said.len() != 1 {
            wrong.push(text::FieldError::new(format!("/{name}/{n}"), "must have one of type, queue and status"));
        }
        fields.add(wrong);
        mutes.extend(said);
    }
    mutes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "12-00000000-0000-0000-0000-000000000007";

    #[test]
    fn what_is_read_is_said_in_one_way() {
        let place = Place::of_text(ID).unwrap();
        let ids = read(&format!(r#"{{"ids":["{ID}","{ID}"]}}"#));
        assert!(matches!(ids, Ok(Mark::These(places, true)) if places == [place]));
        let until = read(&format!(r#"{{"until":"{ID}","all":null}}"#));
        assert!(matches!(until, Ok(Mark::ReadUpTo(Some(until))) if until == place));
        assert!(matches!(read(r#"{"all":true}"#), Ok(Mark::ReadUpTo(None))));
        for (body, pointers) in [
            ("{}", &[][..]),
            (r#"{"all":true,"ids":[]}"#, &[]),
            (r#"{"all":false}"#, &["/all"]),
            (r#"{"all":1,"ids":["x"],"until":7,"nope":1}"#, &["/ids/0", "/until", "/all", "/nope"]),
            (r#"{"ids":"x"}"#, &["/ids"]),
            ("[]", &[""]),
        ] {
            let problem = read(body).unwrap_err();
            let found: Vec<_> = problem.errors().iter().map(|error| error.pointer.as_str()).collect();
            assert_eq!((problem.code(), found.as_slice()), (Code::InvalidRequest, pointers), "{body}");
        }
    }

    #[test]
    fn what_is_muted_is_one_thing_each() {
        let members = |text: &str| {
            let mut fields = Fields::of(text, "");
            let mutes = mutes(&mut fields, "mute");
            (mutes, fields.finish().into_iter().map(|error| error.pointer).collect::<Vec<_>>())
        };
        let (muted, wrong) = members(r#"{"mute":[{"type":"a"},{"queue":"b","type":null},{"status":"FAILED"}]}"#);
        assert_eq!(muted, [Mute::Type("a".into()), Mute::Queue("b".into()), Mute::Status(Status::Failed)]);
        assert!(wrong.is_empty());
        let (_, wrong) = members(
            r#"{"mute":[{},{"type":"a","queue":"b"},{"status":"RUNNING"},{"owner":"x"},7,{"queue":"a\u0007"}]}"#,
        );
        let expected = ["0", "1", "2/status", "3/owner", "4", "5/queue"].map(|at| format!("/mute/{at}"));
        assert_eq!(wrong, expected);
    }
}
