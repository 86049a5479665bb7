//! `demo`: waits in steps and reports each one.

use super::{Context, Failure, Level, TaskType};
use crate::task::text::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The checkpoint's name: the last step that is done.
const STEP: &str = "step";
/// It is saved no more often than this: as much waiting may repeat.
const SAVE_EVERY: Duration = Duration::from_millis(500);

/// Lasts as long as it is told, in as many steps, and fails where it is told.
pub struct Demo;

/// What `demo` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// What to call it in its steps.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// How long it lasts, in milliseconds.
    #[schemars(range(min = 1000, max = 30000))]
    duration: u64,
    /// In how many steps.
    #[schemars(range(min = 1, max = 1000))]
    steps: u32,
    /// Fail at this step, with the code `demo_failed`.
    #[schemars(range(min = 1, max = 1000))]
    fail_at: Option<u32>,
}

impl Default for Params {
    fn default() -> Params {
        Params { name: "demo".to_owned(), duration: 5000, steps: 10, fail_at: None }
    }
}

/// What it comes to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Lasted {
    name: String,
    steps: u32,
    duration: u64,
}

impl TaskType for Demo {
    const NAME: &'static str = "demo";
    const DESCRIPTION: &'static str = "Waits in steps and reports each one; fails at a step, if told to.";
    type Params = Params;
    type Result = Lasted;

    fn examples(&self) -> Vec<Value> {
        vec![
            json!({ "name": "demo", "duration": 5000, "steps": 10 }),
            json!({ "name": "a failure", "duration": 3000, "steps": 6, "fail_at": 4 }),
        ]
    }

    fn check(&self, params: &Params) -> Vec<FieldError> {
        match params.fail_at {
            Some(fail_at) if fail_at > params.steps => {
                vec![FieldError::new("/fail_at", format!("must be 1 to {}, the number of steps", params.steps))]
            }
            _ => Vec::new(),
        }
    }

    async fn run(&self, params: Params, ctx: &Context) -> Result<Lasted, Failure> {
        let step = Duration::from_millis(params.duration) / params.steps;
        let before = ctx.checkpoint::<u32>(STEP).unwrap_or(0).min(params.steps);
        if before > 0 {
            ctx.going_on(before.into(), &format!("step {} of {}", (before + 1).min(params.steps), params.steps));
        }
        let mut saved = Instant::now();
        for done in before + 1..=params.steps {
            ctx.sleep(step).await?;
            if params.fail_at == Some(done) {
                return Err(Failure::retry("demo_failed", format!("failed at step {done}, as asked")));
            }
            ctx.progress(done as i64, params.steps as i64, Some(format!("step {done} of {}", params.steps)));
            ctx.log(Level::Info, format!("{}: step {done} of {}", params.name, params.steps));
            if saved.elapsed() >= SAVE_EVERY && done < params.steps {
                ctx.save(STEP, &done).await?;
                saved = Instant::now();
            }
        }
        Ok(Lasted { name: params.name, steps: params.steps, duration: params.duration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Typed;
    use crate::types::context::trial::Trial;

    #[tokio::test]
    async fn steps_that_are_done_are_not_waited_for_again() {
        let trial = Trial::new();
        trial.attempt().save(STEP, &8).await.unwrap();
        let began = Instant::now();
        let left = trial.run(Typed(Demo), json!({ "duration": 4000, "steps": 10 })).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(left.log, ["going on from step 9 of 10", "demo: step 9 of 10", "demo: step 10 of 10"]);
        assert_eq!(left.result()["steps"], 10);
    }

    #[tokio::test]
    async fn a_step_is_saved_once_it_is_done() {
        let trial = Trial::new();
        let left = trial.run(Typed(Demo), json!({ "duration": 1200, "steps": 2, "fail_at": 2 })).await;
        assert_eq!((left.code().as_str(), trial.checkpoint(STEP)), ("demo_failed", Some(json!(1))));
    }
}
