//! One row of the control API: who may call it, what it takes and answers, and the function that does it.
//!
//! The row is typed, so the handler, the strict reading of its input and its place in the OpenAPI document cannot drift
//! apart.

use crate::app::App;
use crate::caller::{Shown, Standing};
use crate::input;
use crate::who::Who;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use credence_control::Answered;
use credence_model::caller::Caller;
use credence_model::command::{Command, Request};
use credence_model::id::ActorRef;
use credence_model::refusal::{Kind, Refusal};
use credence_telemetry::span::Trace;
use futures_util::future::BoxFuture;
use http::{HeaderName, Method, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// Room for most answers, so that few of them move while they are written.
const ANSWER_BYTES: usize = 1_024;
/// What every answer is.
const JSON: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// A request that was let in, with its parts read.
pub(crate) struct Ask<Q = Nothing, B = Nothing> {
    /// What it can reach.
    pub(crate) app: Arc<App>,
    /// Who asks; nobody only where anyone may.
    pub(crate) caller: Option<Caller>,
    /// The query.
    pub(crate) query: Q,
    /// The body.
    pub(crate) body: B,
    /// Names a retry of the same command.
    pub(crate) idempotency_key: Option<String>,
    /// Which request this is, in logs and traces.
    pub(crate) trace: Trace,
    /// The version that the caller read (`If-Match`).
    pub(crate) if_match: Option<u64>,
    /// What the caller calls this server; nobody else is told.
    pub(crate) authority: String,
    path: Vec<(String, String)>,
}

/// No query, or no body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// The shapes of a row, for the OpenAPI document.
pub(crate) struct Shapes {
    pub(crate) query: Schema,
    pub(crate) body: Option<Schema>,
    pub(crate) answer: Schema,
}

/// A row of the control API.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) who: Who,
    /// What it does, in one line.
    pub(crate) does: &'static str,
    /// Whether it only tells something, which is asked often and is no news.
    pub(crate) only_tells: bool,
    pub(crate) shapes: fn(&mut SchemaGenerator) -> Shapes,
    run: Arc<Run>,
}

/// What a row does with a request of a caller who may ask it.
type Run =
    dyn Fn(Arc<App>, Standing, http::Request<Body>) -> BoxFuture<'static, Result<Response, Refusal>> + Send + Sync;

/// A row: `handler` takes a query `Q` and a body `B` and answers `A`.
pub(crate) fn route<Q, B, A, F, R>(
    method: Method,
    path: &'static str,
    who: Who,
    does: &'static str,
    handler: F,
) -> Route
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema,
    F: Fn(Ask<Q, B>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<A, Refusal>> + Send + 'static,
{
    let run = move |app, standing, request| -> BoxFuture<'static, Result<Response, Refusal>> {
        let handler = handler.clone();
        Box::pin(async move {
            let ask = read::<Q, B>(app, standing, request).await?;
            json(&handler(ask).await?)
        })
    };
    let only_tells = method == Method::GET;
    Route { method, path, who, does, only_tells, shapes: shapes::<Q, B, A>, run: Arc::new(run) }
}

impl Route {
    /// The same, which only tells something though it takes a body.
    pub(crate) fn only_telling(self) -> Self {
        Self { only_tells: true, ..self }
    }

    /// The same, answering with this JSON document whatever is asked.
    pub(crate) fn document(mut self, written: fn() -> Bytes) -> Self {
        self.run = Arc::new(move |_, _, _| Box::pin(async move { Ok((JSON, written()).into_response()) }));
        self
    }

    /// Lets the request in if it may, and answers it.
    pub(crate) async fn answer(&self, app: Arc<App>, request: http::Request<Body>) -> Result<Response, Refusal> {
        let standing = Shown::by(&request)?.standing(&app).await?;
        standing.require(self.who)?;
        (self.run)(app, standing, request).await
    }
}

fn json<A: Serialize>(answer: &A) -> Result<Response, Refusal> {
    let mut written = Vec::with_capacity(ANSWER_BYTES);
    let failed = |error| Refusal::new(Kind::Bug, format!("an answer cannot be written: {error}"));
    serde_json::to_writer(&mut written, answer).map_err(failed)?;
    Ok((JSON, Bytes::from(written)).into_response())
}

async fn read<Q: DeserializeOwned, B: DeserializeOwned>(
    app: Arc<App>,
    standing: Standing,
    request: http::Request<Body>,
) -> Result<Ask<Q, B>, Refusal> {
    let (mut parts, body) = request.into_parts();
    let path = input::path(&mut parts).await?;
    let (query, idempotency_key) = (input::query(&parts.uri)?, input::idempotency_key(&parts.headers)?);
    let if_match = input::if_match(&parts.headers)?;
    let body = input::whole(body, &standing, &app.limits).await?;
    Ok(Ask {
        app,
        caller: standing.caller,
        trace: parts.extensions.remove().unwrap_or_default(),
        query,
        idempotency_key,
        if_match,
        authority: input::authority(&parts),
        body: input::body(&parts.headers, &body)?,
        path,
    })
}

fn shapes<Q: JsonSchema, B: JsonSchema, A: JsonSchema>(generator: &mut SchemaGenerator) -> Shapes {
    let nothing = B::schema_name() == Nothing::schema_name();
    Shapes {
        query: Q::json_schema(generator),
        body: (!nothing).then(|| generator.subschema_for::<B>()),
        answer: generator.subschema_for::<A>(),
    }
}

impl<Q, B> Ask<Q, B> {
    /// Reads a parameter of the path.
    pub(crate) fn path<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, Refusal> {
        let text = self.path.iter().find(|(found, _)| found == name).map(|(_, text)| text.as_str());
        let text = text.ok_or_else(|| Refusal::new(Kind::Bug, format!("the path has no {name}")))?;
        text.parse().map_err(|error: T::Err| Refusal::new(Kind::Malformed, error.to_string()).field(name))
    }

    /// Reads the actor that the path names.
    pub(crate) fn actor(&self) -> Result<ActorRef, Refusal> {
        Ok(ActorRef { namespace: self.path("namespace")?, actor: self.path("id")? })
    }

    /// Hands a command to the cell, in the caller's name.
    pub(crate) async fn submit(&self, command: Command) -> Result<Answered, Refusal> {
        let Some(caller) = self.caller.clone() else {
            return Err(Refusal::new(Kind::Bug, "a command without a caller"));
        };
        let request = Request { caller, idempotency_key: self.idempotency_key.clone(), command };
        self.app.cell.submit_traced(request, self.trace.clone()).await
    }
}
