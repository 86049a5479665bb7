//! The built-in task types: one file each, and the list of them.
//!
//! To add one, write a file with its params, its sentence, its `run` and its tests, and add a
//! line to [`Types::having`]. The API, the form on the page, the docs and the checks read the
//! same list. Other programs bring types of their own by [`TaskType`].

mod batch;
mod context;
mod csv_processing;
mod demo;
mod email_sending;
mod image_processing;
mod noop;
mod preview;
mod register;
mod schema;
mod secret;
mod track;
mod typed;

use crate::task::Task;
use crate::task::text::FieldError;
use async_trait::async_trait;
use serde_json::{Value, value::RawValue};
use std::borrow::Cow;
use std::sync::Arc;

pub use batch::{Batch, Item, ItemFailure, Tally};
pub use context::{Context, Failure, Given, Grown, Input, Level, LogLine, Marked, Output, Saves};
pub use csv_processing::look::Rows;
pub use email_sending::look::Mail;
pub use email_sending::{EmailSending, Encryption, MailProgram, MailServer, Mailing, Patience, serve_mails};
pub use image_processing::{Pictures, serve_pictures};
pub use preview::{NoPreview, Preview, Previews};
pub use schema::{Checked, FileId, Schema};
pub use secret::{REDACTED, Secrets, mask};
pub use track::Track;
pub use typed::{TaskType, Typed};

/// What a task type is, whatever its params.
#[async_trait]
pub trait AnyType: Send + Sync + 'static {
    /// Its name, as submitted: `snake_case`.
    fn name(&self) -> &'static str;

    /// One sentence on what it does.
    fn description(&self) -> &'static str;

    /// JSON Schema of its params: an object, or `oneOf` objects where it has several forms.
    /// A property with `format: file-id` names an upload; one with `writeOnly: true` is a secret, which nobody is
    /// shown again and which is masked in what the handler says.
    fn params_schema(&self) -> Value;

    /// JSON Schema of its result.
    fn result_schema(&self) -> Value;

    /// Params that work, the simplest first.
    fn examples(&self) -> Vec<Value>;

    /// What the schema cannot say. Called only with params that fit the schema, defaults filled in.
    fn check(&self, params: &Value) -> Vec<FieldError> {
        let _ = params;
        Vec::new()
    }

    /// What to say of uploads that are too large together, each with its pointer and its bytes; `None` when they are
    /// not. They are the submitter's own.
    fn too_large(&self, inputs: &[(&str, u64)]) -> Option<String> {
        let _ = inputs;
        None
    }

    /// Whether what is saved under that name is work that is done, and not done again. A task whose worker was lost then
    /// begins anew to count: three lost in a row that saved none end it.
    fn saves_work(&self, checkpoint: &str) -> bool {
        let _ = checkpoint;
        false
    }

    /// One attempt. It must stop within 2 s once the context is cancelled, and leave nothing
    /// half-written; CPU-bound work goes through [`Context::blocking`]. It may run more than once
    /// for one task (a lost worker, a retry).
    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure>;
}

/// The task types of this process.
#[derive(Clone)]
pub struct Types {
    entries: Arc<Vec<Entry>>,
    previews: Previews,
    /// The names of those whose tasks need an approval.
    approved: Arc<[String]>,
}

/// A type with its schema, compiled once.
pub struct Entry {
    /// The type.
    pub r#type: Box<dyn AnyType>,
    /// Its params' schema.
    pub schema: Schema,
}

impl Types {
    /// A task's params as they may be seen: without its type's secrets. Of a type that is not known here, none.
    pub fn shown<'a>(&self, task: &'a Task) -> Option<Cow<'a, RawValue>> {
        let params = task.params.as_deref()?;
        Some(self.get(&task.r#type).map_or(Cow::Borrowed(RawValue::NULL), |entry| entry.shown(params)))
    }

    /// Every built-in type, in the order the page shows them. Mails are kept as files, pictures worked on in this process.
    pub fn builtin() -> Types {
        Types::mailing(Mailing::to_files())
    }

    /// The same; mails leave as `mailing` says.
    pub fn mailing(mailing: Mailing) -> Types {
        Types::having(mailing, Pictures::in_process())
    }

    /// The same; mails leave as `mailing` says, and `pictures` says where those are worked on.
    pub fn having(mailing: Mailing, pictures: Pictures) -> Types {
        let previews = Previews::new(pictures.clone());
        let types = Types::new(vec![
            Box::new(csv_processing::CsvProcessing),
            Box::new(EmailSending::new(mailing)),
            Box::new(image_processing::ImageProcessing::new(pictures)),
            Box::new(Typed(demo::Demo)),
            Box::new(noop::Noop),
        ]);
        Types { previews, ..types }
    }

    /// These types and no others.
    pub fn new(types: Vec<Box<dyn AnyType>>) -> Types {
        let entry = |r#type: Box<dyn AnyType>| Entry { schema: Schema::new(r#type.params_schema()), r#type };
        Types::of(types.into_iter().map(entry).collect())
    }

    fn of(entries: Vec<Entry>) -> Types {
        Types { entries: Arc::new(entries), previews: Previews::new(Pictures::in_process()), approved: Arc::default() }
    }

    /// These types and `more`.
    pub fn with(self, more: Types) -> Types {
        let all = [self.entries, more.entries].map(|entries| Arc::into_inner(entries).expect("built once, at start"));
        Types { entries: Arc::new(all.into_iter().flatten().collect()), ..self }
    }

    /// Where first looks at files are made.
    pub fn previews(&self) -> &Previews {
        &self.previews
    }

    /// These types, where each task of one of these names needs an approval before it runs.
    pub fn approving(self, names: &[String]) -> Types {
        Types { approved: names.into(), ..self }
    }

    /// Whether each task of this type needs an approval.
    pub fn needs_approval(&self, name: &str) -> bool {
        self.approved.iter().any(|approved| approved == name)
    }

    /// The type of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.r#type.name() == name)
    }

    /// Every type, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Every type's name, in order.
    pub fn names(&self) -> Vec<String> {
        self.iter().map(|entry| entry.r#type.name().to_owned()).collect()
    }
}

impl Entry {
    /// Checks params against the schema and the type's own rules, which see whole numbers as such. Pointers begin at the params
    /// themselves (`/num_rows`). On success: the params with defaults filled in, and the uploads they name.
    pub fn check(&self, params: &RawValue) -> Result<Checked, Vec<FieldError>> {
        let checked = self.schema.check(params)?;
        let mut errors = self.r#type.check(&schema::with_whole_numbers(&checked.params));
        errors.extend(self.not_recovered(&checked.params));
        match errors {
            errors if errors.is_empty() => Ok(checked),
            errors => Err(errors),
        }
    }
}
