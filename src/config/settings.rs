//! The table of settings: the flags, the environment's names, `.env.example`, the help and
//! `errand config` are all read from here.

/// One setting: how it is spelled, what it is when nobody says, and what it means.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the environment and in `.env`.
    pub name: &'static str,
    /// Its flag, without the dashes.
    pub flag: &'static str,
    /// What stands for the value in the help.
    pub placeholder: &'static str,
    /// The value when nobody gives one; words where it depends on the machine or another setting.
    pub default: &'static str,
    /// One sentence: what it is, with its unit and what is allowed.
    pub help: &'static str,
    /// What of it must not be shown, nor told in an error: `***` stands in its place.
    pub secret: Secret,
}

/// What of a value is secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// Nothing.
    No,
    /// It is an address, which may hold a password.
    InAddress,
    /// All of it.
    Whole,
}

/// Where tasks are kept.
pub static DATABASE_URL: Setting = Setting {
    name: "DATABASE_URL",
    flag: "database-url",
    placeholder: "URL",
    default: "sqlite://<data dir>/errand.db",
    help: "Where tasks are kept: sqlite://PATH or postgres://USER:PASSWORD@HOST/DATABASE",
    secret: Secret::InAddress,
};

/// The listener.
pub static BIND: Setting = Setting {
    name: "ERRAND_BIND",
    flag: "bind",
    placeholder: "ADDRESS:PORT",
    default: "127.0.0.1:8080",
    help: "Address and port to listen on; port 0 takes a free one",
    secret: Secret::No,
};

/// The one folder Errand writes to.
pub static DATA_DIR: Setting = Setting {
    name: "ERRAND_DATA_DIR",
    flag: "data-dir",
    placeholder: "FOLDER",
    default: "./data",
    help: "Folder for the database file, uploads and artifacts; made if missing",
    secret: Secret::No,
};

/// Where files are kept.
pub static FILES_URL: Setting = Setting {
    name: "ERRAND_FILES_URL",
    flag: "files-url",
    placeholder: "URL",
    default: "the data folder",
    help: "Where uploads and output files are kept: s3://BUCKET/PREFIX, for several nodes to share; credentials, region and endpoint come from the usual AWS_ variables",
    secret: Secret::InAddress,
};

/// The size of the pool.
pub static WORKERS: Setting = Setting {
    name: "ERRAND_WORKERS",
    flag: "workers",
    placeholder: "N",
    default: "2 × cores",
    help: "Tasks run at once by this node, 0 to 1024; 0 serves the API only",
    secret: Secret::No,
};

/// What the pool takes from.
pub static QUEUES: Setting = Setting {
    name: "ERRAND_QUEUES",
    flag: "queues",
    placeholder: "NAME,…",
    default: "",
    help: "Queues this node takes tasks from, separated by commas; empty takes from all",
    secret: Secret::No,
};

/// What a person has to approve.
pub static APPROVE_TYPES: Setting = Setting {
    name: "ERRAND_APPROVE_TYPES",
    flag: "approve-types",
    placeholder: "TYPE,…",
    default: "",
    help: "Task types of which each task needs an admin's approval before it runs, separated by commas; empty is none",
    secret: Secret::No,
};

/// How long a silent worker keeps its task.
pub static LEASE_SECONDS: Setting = Setting {
    name: "ERRAND_LEASE_SECONDS",
    flag: "lease-seconds",
    placeholder: "N",
    default: "30",
    help: "Seconds a worker may be silent before its task goes to another, 5 to 3600",
    secret: Secret::No,
};

/// How long a stopping node waits.
pub static DRAIN_SECONDS: Setting = Setting {
    name: "ERRAND_DRAIN_SECONDS",
    flag: "drain-seconds",
    placeholder: "N",
    default: "25",
    help: "Seconds that running tasks get to finish after SIGTERM, 0 to 3600; then they are handed back",
    secret: Secret::No,
};

/// The limit of an upload.
pub static MAX_FILE_BYTES: Setting = Setting {
    name: "ERRAND_MAX_FILE_BYTES",
    flag: "max-file-bytes",
    placeholder: "N",
    default: "2147483648",
    help: "Largest upload in bytes, 1 to 1099511627776 (1 TiB); the default is 2 GiB",
    secret: Secret::No,
};

/// How much of each key.
pub static RATE_SUBMIT: Setting = Setting {
    name: "ERRAND_RATE_SUBMIT",
    flag: "rate-submit",
    placeholder: "N",
    default: "",
    help: "Tasks that a key may submit a second at this node, 1 to 1000000; empty or 0 is any number. A batch counts its tasks",
    secret: Secret::No,
};

/// The same for what changes something else.
pub static RATE_WRITE: Setting = Setting {
    name: "ERRAND_RATE_WRITE",
    flag: "rate-write",
    placeholder: "N",
    default: "",
    help: "The same for other requests that change something: cancels, retries, uploads",
    secret: Secret::No,
};

/// The same for what changes nothing.
pub static RATE_READ: Setting = Setting {
    name: "ERRAND_RATE_READ",
    flag: "rate-read",
    placeholder: "N",
    default: "",
    help: "The same for requests that read",
    secret: Secret::No,
};

/// How much of each owner.
pub static QUOTA_TASKS: Setting = Setting {
    name: "ERRAND_QUOTA_TASKS",
    flag: "quota-tasks",
    placeholder: "N",
    default: "",
    help: "Tasks that an owner may have waiting and running at once; empty or 0 is any number",
    secret: Secret::No,
};

/// The same of what it uploads.
pub static QUOTA_BYTES: Setting = Setting {
    name: "ERRAND_QUOTA_BYTES",
    flag: "quota-bytes",
    placeholder: "N",
    default: "",
    help: "Bytes that an owner's uploads may have together; empty or 0 is any number",
    secret: Secret::No,
};

/// What run time costs.
pub static COST_PER_HOUR: Setting = Setting {
    name: "ERRAND_COST_PER_HOUR",
    flag: "cost-per-hour",
    placeholder: "TYPE=RATE,…",
    default: "",
    help: "What an hour of run time costs, for each task type that costs anything, as csv_processing=0.5,demo=2; in whatever money",
    secret: Secret::No,
};

/// What is logged.
pub static LOG: Setting = Setting {
    name: "ERRAND_LOG",
    flag: "log",
    placeholder: "LEVEL",
    default: "info",
    help: "What is logged: off, error, warn, info, debug, trace, or directives as info,errand::queue=debug",
    secret: Secret::No,
};

/// How it is logged.
pub static LOG_FORMAT: Setting = Setting {
    name: "ERRAND_LOG_FORMAT",
    flag: "log-format",
    placeholder: "FORMAT",
    default: "auto",
    help: "How it is logged: text, json, or auto for text on a terminal and json elsewhere",
    secret: Secret::No,
};

/// How long what ended well is kept.
pub static RETAIN_SUCCESS_HOURS: Setting = Setting {
    name: "ERRAND_RETAIN_SUCCESS_HOURS",
    flag: "retain-success-hours",
    placeholder: "N",
    default: "",
    help: "Hours after which a task that ended in SUCCESS is deleted with all its history, 1 to 876000; empty keeps it",
    secret: Secret::No,
};

/// How long what failed is kept.
pub static RETAIN_FAILED_HOURS: Setting = Setting {
    name: "ERRAND_RETAIN_FAILED_HOURS",
    flag: "retain-failed-hours",
    placeholder: "N",
    default: "",
    help: "The same for FAILED",
    secret: Secret::No,
};

/// How long what was cancelled is kept.
pub static RETAIN_CANCELLED_HOURS: Setting = Setting {
    name: "ERRAND_RETAIN_CANCELLED_HOURS",
    flag: "retain-cancelled-hours",
    placeholder: "N",
    default: "",
    help: "The same for CANCELLED",
    secret: Secret::No,
};

/// How long it is kept who did what.
pub static RETAIN_ACTIVITY_DAYS: Setting = Setting {
    name: "ERRAND_RETAIN_ACTIVITY_DAYS",
    flag: "retain-activity-days",
    placeholder: "N",
    default: "90",
    help: "Days after which an entry of who did what is deleted, 1 to 36500; 0 keeps it",
    secret: Secret::No,
};

/// The server that mails go to.
pub static SMTP_URL: Setting = Setting {
    name: "ERRAND_SMTP_URL",
    flag: "smtp-url",
    placeholder: "URL",
    default: "",
    help: "The server that email_sending sends by: smtps://USER:PASSWORD@HOST, or smtp://USER:PASSWORD@HOST?tls=required, which demands STARTTLS; smtp://HOST is not encrypted. Empty keeps each mail as an .eml file; better in the environment than as a flag, which others can see",
    secret: Secret::InAddress,
};

/// Who writes the mails.
pub static MAIL_FROM: Setting = Setting {
    name: "ERRAND_MAIL_FROM",
    flag: "mail-from",
    placeholder: "ADDRESS",
    default: "",
    help: "Who writes the mails, as errand@example.org or Errand <errand@example.org>; needed with ERRAND_SMTP_URL",
    secret: Secret::No,
};

/// What the page shows at first.
pub static PAGE_SCOPE: Setting = Setting {
    name: "ERRAND_PAGE_SCOPE",
    flag: "page-scope",
    placeholder: "SCOPE",
    default: "all",
    help: "Whose tasks the page shows at first: all, or mine for those sent from the same browser",
    secret: Secret::No,
};

/// Where the client's subcommands look for the service.
pub static URL: Setting = Setting {
    name: "ERRAND_URL",
    flag: "url",
    placeholder: "URL",
    default: "http://127.0.0.1:8080",
    help: "Where submit, list, get, cancel, retry, approve, reject, watch and logs find the service",
    secret: Secret::InAddress,
};

/// Who may call.
pub static API_KEYS: Setting = Setting {
    name: "ERRAND_API_KEYS",
    flag: "api-keys",
    placeholder: "ROLE:OWNER:KEY,…",
    default: "",
    help: "Keys that may call, beside those made with `errand keys create`: role (admin, submit, read, worker), owner, and a key of 16 characters or more",
    secret: Secret::Whole,
};

/// Which pages may call.
pub static ALLOWED_ORIGINS: Setting = Setting {
    name: "ERRAND_ALLOWED_ORIGINS",
    flag: "allowed-origins",
    placeholder: "ORIGIN,…",
    default: "",
    help: "Origins whose pages may call from a browser, with a key and never by a cookie, as https://app.example.org, separated by commas; empty is none but Errand's own page",
    secret: Secret::No,
};

/// The key of the client's subcommands.
pub static KEY: Setting = Setting {
    name: "ERRAND_KEY",
    flag: "key",
    placeholder: "KEY",
    default: "",
    help: "The key that submit, list, get, cancel, retry, approve, reject, watch and logs send; better in the environment than as a flag, which others can see",
    secret: Secret::Whole,
};

/// Which fail points are armed. Only debug builds have it, so it is in no list for people.
#[cfg(debug_assertions)]
pub static FAULTS: Setting = Setting {
    name: "ERRAND_FAULTS",
    flag: "faults",
    placeholder: "POINT=ACTION@PASSINGS,…",
    default: "",
    help: "Fail points of src/fault.rs and what happens there, for tests",
    secret: Secret::No,
};

/// Every setting, in the order people read them.
pub static SETTINGS: [&Setting; 29] = [
    &DATABASE_URL,
    &BIND,
    &API_KEYS,
    &ALLOWED_ORIGINS,
    &DATA_DIR,
    &FILES_URL,
    &WORKERS,
    &QUEUES,
    &APPROVE_TYPES,
    &LEASE_SECONDS,
    &DRAIN_SECONDS,
    &MAX_FILE_BYTES,
    &RATE_SUBMIT,
    &RATE_WRITE,
    &RATE_READ,
    &QUOTA_TASKS,
    &QUOTA_BYTES,
    &RETAIN_SUCCESS_HOURS,
    &RETAIN_FAILED_HOURS,
    &RETAIN_CANCELLED_HOURS,
    &RETAIN_ACTIVITY_DAYS,
    &COST_PER_HOUR,
    &SMTP_URL,
    &MAIL_FROM,
    &LOG,
    &LOG_FORMAT,
    &PAGE_SCOPE,
    &URL,
    &KEY,
];

/// The text of `.env.example`: every setting with its sentence, its default commented out.
pub fn example() -> String {
    let mut text = String::from(
        "# Errand's settings. Copy this file to .env and uncomment what should differ from the default.\n\
         # A flag wins over the environment, the environment over this file; `errand config` shows the outcome.\n",
    );
    for setting in SETTINGS {
        // A default in words is told in words: the line must work when it is uncommented.
        let (words, value) = match setting.default.contains(' ') {
            true => (format!(" The default is {}.", setting.default), ""),
            false => (String::new(), setting.default),
        };
        text.push_str(&format!("\n# {}.{words}\n# {}={value}\n", setting.help, setting.name));
    }
    text
}
