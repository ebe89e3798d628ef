//! What is too much, what policies take, and that no text brings the reader down.

use crate::cedar::world::{asker, attributes, compiled, good, question};
use credence_model::class::permissions::CEDAR_BYTES_MAX;
use credence_policy::cedar::{ACTIONS_MAX, DEPTH_MAX, POLICIES_MAX, compile};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, proptest};

const PERMIT: &str = "permit(principal, action, resource);\n";

fn when(condition: &str) -> String {
    format!("permit(principal, action, resource) when {{ {condition} }};")
}

#[track_caller]
fn refused(text: &str, line: usize, column: usize, message: &str) {
    let error = compiled(text).expect_err(message);
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn policies_are_counted() {
    assert_eq!(good(&PERMIT.repeat(POLICIES_MAX)).len(), POLICIES_MAX);
    refused(&PERMIT.repeat(POLICIES_MAX + 1), POLICIES_MAX + 1, 36, "more than 256 policies");
}

#[test]
fn bytes_are_counted() {
    let remark = |bytes: usize| format!("{PERMIT}//{}", "x".repeat(bytes - PERMIT.len() - 2));
    assert_eq!(good(&remark(CEDAR_BYTES_MAX)).len(), 1);
    refused(&remark(CEDAR_BYTES_MAX + 1), 1, 1, "longer than 65536 bytes");
}

#[test]
fn actions_are_counted() {
    let actions = |count: usize| {
        let actions: Vec<_> = (0..count).map(|nth| format!("Action::\"a{nth:03}\"")).collect();
        format!("permit(principal, action in [{}], resource);", actions.join(","))
    };
    good(&actions(ACTIONS_MAX));
    refused(&actions(ACTIONS_MAX + 1), 1, 30 + 15 * ACTIONS_MAX + 8, "more than 64 different actions");
}

/// Every way to be deep, from a number of steps.
fn deep(steps: usize) -> Vec<String> {
    let nested =
        |open: &str, inside: &str, close: &str| when(&format!("{}{inside}{}", open.repeat(steps), close.repeat(steps)));
    vec![
        nested("(", "true", ")"),
        nested("!(", "true", ")"),
        nested("-(", "1", ") == 1"),
        nested("[", "1", "] == 1"),
        nested("{a: ", "1", "} == 1"),
        nested("if true then ", "true", " else true"),
        nested("if ", "true", " then true else true"),
        nested("principal.hasTag(", "\"\"", ")"),
        nested("", "true", " && true"),
        nested("", "true", " || true"),
        nested("true && (", "true", ")"),
        nested("", "1", " + 1"),
        nested("", "1", " * 1"),
        nested("", "context", ".a"),
        nested("", "context", "[\"a\"]"),
        nested("", "context has a", ".a"),
        nested("", "1", " == 1"),
        nested("", "1", " in 1"),
        format!("permit(principal, action, resource) {};", "when { true }".repeat(steps)),
        format!("{}permit(principal, action, resource);", "@a(\"\")".repeat(steps)),
    ]
}

#[test]
fn depth_is_counted_before_anything_is_read() {
    for steps in [DEPTH_MAX, 1_500] {
        for text in deep(steps) {
            let error = compiled(&text).expect_err(&text);
            assert!(error.message.contains("deeper than 128 steps"), "{error}\n{text}");
        }
    }
    refused(&when(&"(".repeat(1_000)), 1, 44 + DEPTH_MAX - 2, "deeper than");
    refused(&when(&format!("true{}", " && true".repeat(1_000))), 1, 49 + 8 * (DEPTH_MAX - 1), "deeper than");
}

#[test]
fn the_deepest_policies_need_no_large_stack() {
    // Half of what threads that serve requests have.
    let thread = std::thread::Builder::new().stack_size(1024 * 1024);
    let tried = thread.spawn(|| {
        let mut taken = 0;
        for text in deep(DEPTH_MAX - 8).iter().chain(&deep(DEPTH_MAX / 3)) {
            match compiled(text) {
                Ok(policies) => {
                    policies.judge(&asker().principal(), &question());
                    taken += 1;
                }
                Err(error) => assert!(!error.message.contains("recursion"), "{error}\n{text}"),
            }
        }
        taken
    });
    let taken = tried.unwrap().join().unwrap();
    assert!(taken >= 10, "{taken}");
}

#[test]
fn what_is_long_need_not_be_deep() {
    good(&when(&format!("[{}].contains(1)", vec!["1 + 1"; 5_000].join(", "))));
    good(&when(&format!("[{}].contains(\"a\")", vec!["\"a && b\""; 5_000].join(", "))));
}

#[test]
fn a_long_condition_of_a_reasonable_kind_is_taken() {
    let part = "(context has currency && [\"EUR\", \"CHF\"].contains(context.currency) && \
                principal.hasTag(\"team\") && principal.getTag(\"team\") == \"finance\")";
    good(&when(&vec![part; 64].join(" || ")));
}

/// Twenty policies as a class would have them.
fn realistic() -> String {
    let mut text = String::new();
    for nth in 0..20 {
        text.push_str(&format!(
            "@id(\"submit-small-expenses-{nth}\") @obligation(\"step-up\")\n\
             permit(principal in Class::\"finance/expense-agent\", action == Action::\"call\", \
             resource == Resource::\"tool/expenses/submit-{nth}\")\n\
             when {{ context has amount && context.amount.lessThanOrEqual(decimal(\"500.0\")) && \
             context has currency && [\"EUR\", \"CHF\", \"GBP\"].contains(context.currency) && \
             context.time >= 480 && context.time < 1080 && \
             principal.hasTag(\"team\") && principal.getTag(\"team\") == \"finance\" }}\n\
             unless {{ resource.name like \"expenses/*-draft\" || [\"sat\", \"sun\"].contains(context.day) }};\n",
        ));
    }
    text
}

#[test]
fn twenty_policies_take_far_less_than_64_kilobytes() {
    let policies = good(&realistic());
    let bytes = policies.bytes();
    println!("{bytes} bytes for {} policies, {} for each", policies.len(), bytes / policies.len());
    assert!(bytes > 20 * 512 && bytes < 32 * 1024, "{bytes} bytes");
}

/// Words of policies, and near them.
const WORDS: &str = "permit forbid ( ) principal action resource context , ; when unless { } == != < >= && || ! - + * [ ] . :: : @ id \
    obligation ? ?principal \" \"a\" \"\\u{1F600}\" \"\\ Action Actor Class Resource in is has like if then else true false 1 \
    9223372036854775808 decimal ip contains hasTag getTag amount // é \u{202e} \0 __cedar unknown error Action::\"call\"";
/// Whole pieces.
const PIECES: [&str; 5] =
    ["\n", "\r", "permit(principal, action, resource)", "when { true }", "context has amount && context.amount"];

/// Texts that look like policies, more or less.
fn soup() -> impl Strategy<Value = String> {
    let words: Vec<_> = WORDS.split_whitespace().chain(PIECES).collect();
    prop::collection::vec(prop::sample::select(words), 0..48).prop_map(|words| words.join(" "))
}

/// Whatever is wrong with a text, it is Cedar or we who say so: the reader itself did not fail.
fn survives(text: &str) {
    if let Err(error) = compile(text, &attributes()) {
        assert!(!error.message.contains("cannot be read"), "{error}\n{text}");
        assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty(), "{error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_text_brings_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_text_of_its_words_brings_the_reader_down(text in soup()) {
        survives(&text);
    }

    #[test]
    fn no_damage_to_a_policy_brings_the_reader_down(
        at in any::<prop::sample::Index>(),
        cut in 0_usize..8,
        put in prop::collection::vec(any::<char>(), 0..4),
    ) {
        let mut text: Vec<char> = realistic().chars().take(700).collect();
        let at = at.index(text.len());
        text.splice(at..(at + cut).min(text.len()), put);
        survives(&text.into_iter().collect::<String>());
    }
}
