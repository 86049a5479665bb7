//! What a program's own types must be to stand beside the built-in ones.

use super::{AnyType, Entry, Schema, Types};
use serde_json::value::to_raw_value;

/// A longer name is none.
const MAX_NAME_CHARS: usize = 100;

impl Types {
    /// Types of a program's own; or why they cannot stand beside the built-in ones, in words for whoever wrote them.
    pub fn own(types: Vec<Box<dyn AnyType>>) -> Result<Types, Vec<String>> {
        let builtin = if types.is_empty() { Vec::new() } else { Types::builtin().names() };
        let (mut entries, mut problems): (Vec<Entry>, Vec<String>) = Default::default();
        for r#type in types {
            let name = r#type.name();
            if !is_name(name) {
                let rule = format!("small letters, digits and `_`, a letter first, at most {MAX_NAME_CHARS}");
                problems.push(format!("{name:?} is no name of a task type: {rule}"));
            } else if builtin.iter().any(|builtin| builtin == name) {
                problems.push(format!("the task type `{name}` is a built-in one: give yours another name"));
            } else if entries.iter().any(|entry| entry.r#type.name() == name) {
                problems.push(format!("the task type `{name}` is registered twice"));
            } else {
                match entry(r#type) {
                    Ok(entry) => entries.push(entry),
                    Err(wrong) => problems.push(format!("the task type `{name}`: {wrong}")),
                }
            }
        }
        if problems.is_empty() { Ok(Types::of(entries)) } else { Err(problems) }
    }
}

fn is_name(name: &str) -> bool {
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(small) && name.len() <= MAX_NAME_CHARS
}

/// The type with its schema, which its examples fit.
fn entry(r#type: Box<dyn AnyType>) -> Result<Entry, String> {
    let source = r#type.params_schema();
    if source["type"] != "object" && !source["oneOf"].is_array() {
        return Err("its params must be a struct".to_owned());
    }
    let schema = Schema::compile(source).map_err(|error| format!("the schema of its params is none: {error}"))?;
    let entry = Entry { r#type, schema };
    for example in entry.r#type.examples() {
        let params = to_raw_value(&example).expect("JSON is JSON");
        if let Err(errors) = entry.check(&params) {
            let errors: Vec<_> = errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
            return Err(format!("its example {example} is refused: {}", errors.join(", ").trim_start()));
        }
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Context, Failure, TaskType, Typed};
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Deserialize, JsonSchema)]
    struct Params {
        #[schemars(range(max = 9))]
        n: i64,
    }

    /// Named by its number.
    struct Echo<const NAME: usize>(Value);

    const NAMES: [&str; 4] = ["echo", "demo", "Echo-2", "other"];

    impl<const NAME: usize> TaskType for Echo<NAME> {
        const NAME: &'static str = NAMES[NAME];
        const DESCRIPTION: &'static str = "Says what it was told.";
        type Params = Params;
        type Result = i64;

        fn examples(&self) -> Vec<Value> {
            vec![self.0.clone()]
        }

        async fn run(&self, params: Params, _: &Context) -> Result<i64, Failure> {
            Ok(params.n)
        }
    }

    fn echo<const NAME: usize>(example: Value) -> Box<dyn AnyType> {
        Box::new(Typed(Echo::<NAME>(example)))
    }

    #[test]
    fn types_of_ones_own_stand_behind_the_built_in_ones() {
        let own = Types::own(vec![echo::<0>(json!({ "n": 1 })), echo::<3>(json!({ "n": 2 }))]).ok().unwrap();
        let names = Types::builtin().with(own).names();
        assert_eq!(names[names.len() - 3..], ["noop", "echo", "other"]);
        assert_eq!(Types::own(Vec::new()).ok().unwrap().names().len(), 0);
    }

    #[test]
    fn a_name_that_is_taken_or_none_and_an_example_that_does_not_fit_are_told_all_at_once() {
        let fits = || json!({ "n": 1 });
        let own = vec![
            echo::<0>(fits()),
            echo::<1>(fits()),
            echo::<0>(fits()),
            echo::<2>(fits()),
            echo::<3>(json!({ "n": 10 })),
        ];
        let expected = [
            "the task type `demo` is a built-in one: give yours another name",
            "the task type `echo` is registered twice",
            "\"Echo-2\" is no name of a task type: small letters, digits and `_`, a letter first, at most 100",
            "the task type `other`: its example {\"n\":10} is refused: /n must be at most 9",
        ];
        assert_eq!(Types::own(own).err().unwrap(), expected);
    }
}
