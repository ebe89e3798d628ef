//! `credence class test`: what a class permits is tried on cases that its author wrote down, without a server.

use super::case::{self, Outcome};
use super::rehearsal::{Rehearsal, Scene};
use crate::args::ClassTestArgs;
use crate::failure::Failure;
use crate::kind::{self, Object as Named};
use crate::output::duration;
use crate::output::style::{Style, Tone};
use crate::output::table::printable;
use crate::pem;
use crate::session::Session;
use crate::verb::can::verdicts;
use crate::verb::delegation::parse_user;
use credence_manifest::class_test::ClassTest;
use credence_manifest::{MANIFEST_BYTES_MAX, Manifest, Object};
use credence_model::id::{ActorRef, ClassRef};
use credence_model::refusal::{Kind, Refusal};
use credence_model::time::Timestamp;
use credence_model::user::User;
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;

/// When a test begins that does not say so: noon of a Monday.
const BEGINS: Timestamp = Timestamp::from_secs(1_767_614_400);

/// What came of all tests.
#[derive(Debug, Serialize)]
struct Report {
    cases: usize,
    failed: usize,
    outcomes: Vec<Outcome>,
}

pub(super) fn run(args: &ClassTestArgs, session: &Session) -> Result<ExitCode, Failure> {
    let mut outcomes = Vec::new();
    for file in &args.files {
        outcomes.extend(test_file(file, args)?);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.holds).count();
    let report = Report { cases: outcomes.len(), failed, outcomes };
    session.out.answer(&report, || words(&report, session.out.style))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The tests of a file, in its order.
fn test_file(file: &Path, args: &ClassTestArgs) -> Result<Vec<Outcome>, Failure> {
    let manifests = read(file, args)?;
    let mut outcomes = Vec::new();
    for manifest in &manifests {
        if let Object::ClassTest(class, test) = &manifest.object {
            outcomes.extend(test_class(manifest, (class, test), &manifests, (file, args))?);
        }
    }
    if outcomes.is_empty() {
        let failure = Failure::new(Kind::Malformed, "there is no test in it").place(pem::name(file));
        return Err(failure.hint("A test begins with apiVersion, kind: ClassTest, metadata and spec"));
    }
    Ok(outcomes)
}

fn test_class(
    manifest: &Manifest,
    (class, test): (&ClassRef, &ClassTest),
    beside: &[Manifest],
    (file, args): (&Path, &ClassTestArgs),
) -> Result<Vec<Outcome>, Failure> {
    let mut read_in = Vec::new();
    for name in &test.classes {
        let path = file.parent().map_or_else(|| name.into(), |directory| directory.join(name));
        read_in.extend(read(&path, args)?);
    }
    let objects: Vec<_> = beside.iter().chain(&read_in).collect();
    if !objects.iter().any(|found| matches!(&found.object, Object::Class(name, _) if name == class)) {
        let refusal = Refusal::new(Kind::NotFound, format!("class {class} is not described in any of the files"));
        return Err(manifest.locate(refusal.field("spec.classes").hint("Name the file of its manifest here")).into());
    }
    let begins = test.at.as_deref().map_or(Ok(BEGINS), |at| time(at, "spec.at"));
    let begins = begins.map_err(|refusal| manifest.locate(refusal))?;
    let scene = Scene { class, test, objects: &objects, begins };
    let rehearsal = Rehearsal::new(&scene, manifest)?;
    let judge = |nth| case::judge(&rehearsal, &scene, nth).map_err(|refusal| manifest.locate(refusal));
    let place = |nth| manifest.locate(Refusal::new(Kind::Denied, "").field(format!("spec.cases[{nth}]"))).place;
    (0..test.cases.len()).map(|nth| Ok(Outcome { place: place(nth), ..judge(nth)? })).collect()
}

fn read(file: &Path, args: &ClassTestArgs) -> Result<Vec<Manifest>, Failure> {
    let text = pem::read_text(file, MANIFEST_BYTES_MAX)?;
    Ok(credence_manifest::parse(&pem::name(file), &text, &args.namespace.namespace)?)
}

fn words(report: &Report, style: Style) -> String {
    let mut lines = Vec::new();
    for outcome in report.outcomes.iter().filter(|outcome| !outcome.holds) {
        let Outcome { name, place, asked, expected, decided, verdicts: all, .. } = outcome;
        let fails = style.paint(Tone::Bad, "FAILS");
        lines.push(format!("{fails}  {}  ({place})", printable(name)));
        lines.push(printable(&format!("  asked     {asked}")));
        lines.push(printable(&format!("  expected  {expected}")));
        lines.push(printable(&format!("  decided   {decided}")));
        lines.extend(verdicts(all, style).into_iter().map(|line| format!("    {line}")));
        lines.push(String::new());
    }
    let Report { cases, failed, .. } = report;
    lines.push(match failed {
        0 => format!("{} as expected", counted(*cases)),
        _ => format!("{}, {failed} not as expected", counted(*cases)),
    });
    lines.join("\n")
}

fn counted(cases: usize) -> String {
    if cases == 1 { "1 case".into() } else { format!("{cases} cases") }
}

/// An actor, by its id in the namespace of the class that is tested, or with its own.
pub(super) fn actor(text: &str, field: &str, class: &ClassRef) -> Result<ActorRef, Refusal> {
    match Named::named(kind::Kind::Actor, text, &class.namespace) {
        Ok(Named::Actor(actor)) => Ok(actor),
        Ok(_) => Err(Refusal::new(Kind::Bug, "an actor was read as something else")),
        Err(failure) => Err(failure.refusal.field(field)),
    }
}

/// A class, likewise.
pub(super) fn class(text: &str, field: &str, tested: &ClassRef) -> Result<ClassRef, Refusal> {
    match Named::named(kind::Kind::Class, text, &tested.namespace) {
        Ok(Named::Class(class)) => Ok(class),
        Ok(_) => Err(Refusal::new(Kind::Bug, "a class was read as something else")),
        Err(failure) => Err(failure.refusal.field(field)),
    }
}

/// A user, as `NAME@ISSUER`.
pub(super) fn user(text: &str, field: &str) -> Result<User, Refusal> {
    parse_user(text).map_err(|failure| failure.refusal.field(field))
}

/// A time, as RFC 3339 writes it.
pub(super) fn time(text: &str, field: &str) -> Result<Timestamp, Refusal> {
    duration::read(text).map_err(|failure| failure.refusal.field(field))
}
