//! `credence get`: lists, and with `--watch` what changes in them.

mod watch;

use crate::args::{Format, GetArgs};
use crate::client::{Call, Client, escape};
use crate::clock;
use crate::failure::Failure;
use crate::kind::{Kind, Object, parse_objects};
use crate::session::Session;
use crate::verb::namespace_or_default;
use crate::view::{View, table};
use credence_model::id::{ClassRef, Namespace, WorkerRef};
use credence_server::api::actor::ActorView;
use credence_server::api::class::ClassView;
use credence_server::api::guard::GuardView;
use credence_server::api::list::Listed;
use credence_server::api::node::NodeView;
use credence_server::api::pool::PoolView;
use credence_server::api::worker::WorkerView;

/// What to list.
pub(super) struct Selection {
    /// The list's path, with its query.
    path: String,
    /// Exactly these; all if empty.
    objects: Vec<Object>,
    /// Workers are filtered here: their list knows only pools.
    namespace: Option<Namespace>,
}

pub(super) async fn run(args: GetArgs, session: &Session) -> Result<(), Failure> {
    let namespace = namespace_or_default(args.namespace.as_ref())?;
    let (kind, objects) = parse_objects(&args.words, &namespace)?;
    let path = list_path(kind, &args)?;
    let selection = Selection { path, objects, namespace: args.namespace };
    match kind {
        Kind::Class => show::<ClassView>(session, &selection, args.watch).await,
        Kind::Pool => show::<PoolView>(session, &selection, args.watch).await,
        Kind::Guard => show::<GuardView>(session, &selection, args.watch).await,
        Kind::Actor => show::<ActorView>(session, &selection, args.watch).await,
        Kind::Node => show::<NodeView>(session, &selection, args.watch).await,
        Kind::Worker => show::<WorkerView>(session, &selection, args.watch).await,
    }
}

/// Lists workers, for `credence worker list`.
pub(super) async fn workers(
    session: &Session,
    pool: Option<String>,
    namespace: Option<Namespace>,
) -> Result<(), Failure> {
    let path = pool.map_or_else(|| "/v1/workers".into(), |pool| format!("/v1/workers?pool={}", escape(&pool)));
    show::<WorkerView>(session, &Selection { path, objects: Vec::new(), namespace }, false).await
}

fn list_path(kind: Kind, args: &GetArgs) -> Result<String, Failure> {
    let mut query = Vec::new();
    let namespaced = matches!(kind, Kind::Class | Kind::Pool | Kind::Guard | Kind::Actor);
    if let Some(namespace) = args.namespace.as_ref().filter(|_| namespaced) {
        query.push(format!("namespace={namespace}"));
    }
    if (args.class.is_some() || args.state.is_some()) && kind != Kind::Actor {
        return Err(Failure::used_wrongly("--class and --state choose among actors, not among other kinds"));
    }
    if let Some(class) = &args.class {
        match class.split_once('/') {
            None => query.push(format!("class={}", escape(class))),
            Some(_) if args.namespace.is_some() => {
                return Err(
                    Failure::used_wrongly("the namespace was given twice").hint("Write --class NAME with -n NS")
                );
            }
            Some(_) => {
                let class: ClassRef = class.parse()?;
                query.push(format!("namespace={}&class={}", class.namespace, class.class));
            }
        }
    }
    query.extend(args.state.as_ref().map(|state| format!("state={}", escape(state))));
    let path = format!("/v1/{}", kind.plural());
    Ok(if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) })
}

async fn show<V: View>(session: &Session, selection: &Selection, watching: bool) -> Result<(), Failure> {
    let client = session.client()?;
    let since = if watching { Some(watch::end(&client).await?) } else { None };
    let items: Vec<V> = fetch(&client, selection).await?;
    let out = session.out;
    if out.is_object() && watching {
        items.iter().try_for_each(|item| out.stream_object(item))?;
    } else if out.is_object() && selection.objects.len() == 1 {
        items.iter().try_for_each(|item| out.object(item))?;
    } else if out.is_object() {
        out.object(&Listed { items: items.iter().collect::<Vec<_>>(), next: None })?;
    } else if items.is_empty() {
        // Not on standard output: a script that counts lines must count none.
        eprintln!("nothing found");
    } else {
        out.line(table(&items, clock::now(), out.format == Format::Wide).render(out.style))?;
    }
    match since {
        Some(since) => watch::watch(&client, session, selection, items, since).await,
        None => Ok(()),
    }
}

/// The selected objects; those that were named and are not there are an error.
pub(super) async fn fetch<V: View>(client: &Client, selection: &Selection) -> Result<Vec<V>, Failure> {
    if selection.objects.is_empty() {
        let mut items: Vec<V> = client.list(&selection.path).await?;
        if let Some(namespace) = selection.namespace.as_ref().filter(|_| selection.path.starts_with("/v1/workers")) {
            items.retain(|item| item.key().split('/').next() == Some(namespace.as_str()));
        }
        return Ok(items);
    }
    let mut items = Vec::with_capacity(selection.objects.len());
    for object in &selection.objects {
        items.push(fetch_one(client, object).await?);
    }
    Ok(items)
}

/// One object.
pub(super) async fn fetch_one<V: View>(client: &Client, object: &Object) -> Result<V, Failure> {
    match object {
        Object::Worker(worker) => fetch_worker(client, worker).await,
        other => client.send(Call::get(other.path())).await,
    }
}

/// Workers have no page of their own: they are few, and live in their pool's list.
async fn fetch_worker<V: View>(client: &Client, worker: &WorkerRef) -> Result<V, Failure> {
    let items: Vec<V> = client.list(&format!("/v1/workers?pool={}", escape(&worker.pool.to_string()))).await?;
    let name = worker.to_string();
    items.into_iter().find(|item| item.key() == name).ok_or_else(|| {
        let failure = Failure::new(credence_model::refusal::Kind::NotFound, format!("there is no worker {name}"));
        failure.hint("`credence get workers` lists them")
    })
}
