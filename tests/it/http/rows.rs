//! The list of bad inputs, by number, and which test holds each: A transport, C submits, D ids, lists
//! and queries, E uploads. What needs keys, sessions, rate limits, schedules or dependencies comes with
//! those.

use std::fs;
use std::path::Path;

/// Number, input, the test.
const HELD: &[(&str, &str, &str)] = &[
    ("A-1", "headers that drip", "headers_that_drip_are_given_up"),
    ("A-2", "a body that drips", "a_body_that_drips_or_never_comes_is_given_up"),
    ("A-3", "2,000 silent connections", "two_thousand_silent_connections_are_closed_and_others_are_served_meanwhile"),
    ("A-4", "headers of 20 KB, 200 headers", "headers_that_are_too_large_are_refused"),
    ("A-5", "an address of 20 KB", "headers_that_are_too_large_are_refused"),
    ("A-6", "10 GB declared", "a_body_that_is_too_large_is_refused_before_it_is_sent"),
    ("A-7", "a chunked body without an end", "a_chunked_body_without_an_end_is_refused_at_the_limit"),
    ("A-8", "a length and chunks", "a_request_with_two_lengths_is_refused_and_the_connection_closed"),
    ("A-9", "two lengths", "a_request_with_two_lengths_is_refused_and_the_connection_closed"),
    ("A-10", "bare LF, a space before a colon, NUL", "a_request_that_is_no_http_is_refused"),
    ("A-11", "a gzip bomb", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("A-12", "another content type", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("A-13", "Expect, then silence", "a_body_that_drips_or_never_comes_is_given_up"),
    ("A-14", "other methods", "a_method_that_is_not_allowed_is_told_which_are"),
    ("A-15", "no host, two hosts", "a_request_that_is_no_http_is_refused"),
    ("A-15", "a foreign host", "a_name_that_was_made_to_mean_this_machine_reaches_nothing"),
    ("A-17", "X-HTTP-Method-Override", "no_other_method_is_smuggled_in_a_header"),
    ("A-18", "addresses with dots and doubled slashes", "an_address_that_only_looks_like_ours_is_none"),
    ("A-19", "HTTP/2, which is off", "any_bytes_on_a_connection_get_a_refusal_or_an_end"),
    ("A-20", "10,000 pipelined requests", "ten_thousand_pipelined_requests_are_answered_in_order"),
    ("A-20", "and nobody reads the answers", "requests_of_a_client_that_reads_no_answers_are_not_taken_without_end"),
    ("C-1", "nothing, null, [], text, {}", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-2", "cut JSON, more behind it, BOM, NaN, comments", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-3", "no UTF-8", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-4", "nested 10,000 deep", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-5", "1,000,000 members, a string of 50 MB", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-6", "a member twice", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-7", "NUL anywhere", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-8", "a lone surrogate", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-9", "numbers no machine has", "numbers_are_kept_exactly_and_odd_words_inert"),
    ("C-10", "an unknown type", "an_unknown_type_is_told_which_there_are"),
    ("C-12", "an unknown member", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-13", "priority", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-14", "max_attempts", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-15", "timeout_seconds", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-16", "run_at that is no time", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-17", "run_at in the past", "a_time_in_the_past_is_now_and_one_in_the_future_is_waited_for"),
    ("C-19", "an idempotency key that is none", "a_key_must_be_printable_and_of_the_right_length"),
    ("C-20", "one key 200 times at once", "two_hundred_at_once_make_one_task"),
    ("C-21", "one key, another body", "the_same_key_with_another_body_is_refused"),
    ("C-22", "one key, other spaces and order", "order_and_spaces_do_not_make_another_body"),
    ("C-23", "a batch of 0, of 10,001, with a bad one", "a_batch_has_one_to_ten_thousand_tasks"),
    ("C-23", "one bad task among many", "a_batch_with_one_bad_task_stores_none_and_names_it"),
    ("C-24", "odd tags and queues", "numbers_are_kept_exactly_and_odd_words_inert"),
    ("C-25", "a queue of the service's own", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("C-27", "params at the limit and one byte over it", "params_may_have_exactly_a_mebibyte"),
    ("C-29", "line breaks and escapes for the log", "what_a_caller_sends_begins_no_line_in_the_log"),
    ("C-30", "1,000 tags", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-1", "ids that are none", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-2", "limit", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-3", "offset, which there is none", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-4", "cursors", "a_cursor_is_good_for_its_own_query_only"),
    ("D-5", "status", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-6", "sort", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-7", "searches for wildcards", "wildcards_in_a_search_are_only_letters"),
    ("D-7", "and how long they take", "a_search_through_twenty_thousand_tasks_takes_a_fifth_of_a_second_at_most"),
    ("D-8", "from after to", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-9", "cancel of what is finished", "a_finished_task_cannot_be_cancelled"),
    ("D-9", "cancel twice", "asked_twice_is_asked_once"),
    ("D-9", "cancel while it completes", "a_success_after_a_cancel_request_wins"),
    ("D-10", "DELETE of what runs, which asks it to stop", "a_long_demo_stops_within_two_seconds"),
    ("D-11", "retry of what is pending", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-11", "retry of 10,000", "ten_thousand_are_cancelled_and_set_going_again_at_once"),
    ("D-13", "ranges", "an_upload_is_answered_whole_in_ranges_and_to_head"),
    ("D-14", "names of artifacts that lead elsewhere", "each_bad_request_is_refused_by_name_and_adds_nothing"),
    ("D-14", "a planted link", "a_link_that_somebody_planted_is_no_artifact"),
    ("E-1", "boundaries", "a_bad_form_is_refused_and_leaves_nothing"),
    ("E-2", "10,000 parts, headers of 1 MB, a form in a form", "a_bad_form_is_refused_and_leaves_nothing"),
    ("E-3", "one byte over the limit", "a_file_may_have_exactly_the_limit"),
    ("E-4", "an empty file", "a_bad_form_is_refused_and_leaves_nothing"),
    ("E-5", "file names", "a_name_is_kept_as_inert_text"),
    ("E-6", "no file name", "a_bad_form_is_refused_and_leaves_nothing"),
    ("E-6", "two files", "a_form_keeps_its_first_file"),
    ("E-7", "what is not what it says", "what_is_not_what_it_says_is_refused"),
    ("E-8", "two formats at once", "what_could_run_in_a_browser_is_an_attachment"),
    ("E-9", "a sender that goes at 99 %", "an_upload_that_breaks_off_near_its_end_leaves_nothing"),
    ("E-10", "100 uploads at once", "a_hundred_uploads_at_once_do_not_fill_the_memory"),
    ("E-12", "archives as CSV", "what_is_not_what_it_says_is_refused"),
    ("E-13", "a digest that does not fit", "a_digest_that_does_not_fit_is_refused"),
    ("E-14", "the same content twice", "the_same_content_twice_is_two_files"),
];

/// Number, input, what has to be there first.
const NOT_YET: &[(&str, &str, &str)] = &[
    ("A-16", "X-Forwarded-For", "rate limits and an audit log, which would believe it or not"),
    ("C-11", "a type the key has no right to", "keys"),
    ("C-18", "cron", "schedules; until then an unknown member"),
    ("C-26", "dependencies", "dependencies"),
    ("C-28", "10,000 submits in a second", "rate limits"),
    ("D-12", "If-Match", "a call that edits a task"),
    ("E-11", "a full quota", "quotas"),
];

#[test]
fn every_bad_input_has_its_number_and_its_test() {
    let lists = [("A", 20), ("C", 30), ("D", 14), ("E", 14)];
    let numbers = lists.iter().flat_map(|(list, last)| (1..=*last).map(move |n| format!("{list}-{n}")));
    let known: Vec<&str> = HELD.iter().chain(NOT_YET).map(|(number, ..)| *number).collect();
    let missing: Vec<String> = numbers.filter(|number| !known.contains(&number.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new());
    let source = source(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    for (number, what, test) in HELD {
        assert!(source.contains(&format!("fn {test}(")), "{number} ({what}): there is no test {test}");
    }
}

fn source(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { source(&path) } else { fs::read_to_string(path).unwrap() }).collect()
}
