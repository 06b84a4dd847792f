//! Plain HTTP: every route on one screen.
//!
//! hyper reads the requests and axum routes them. The doors are among the routes because an upgrade may come as the
//! second request of a kept-alive connection; the first request of a connection never gets this far if it is for a
//! door (see [`crate::connection`]).

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, options, post};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};

mod api;
mod auth;
mod body;
mod dev;
mod problem;

pub(crate) use auth::bearer;
pub(crate) use body::read_json;
pub(crate) use problem::{Problem, header_of, status};

use crate::App;
use crate::door;
use crate::listener::Serves;

/// Says who answered, on every answer: what a client sees without it came from something in between.
pub(crate) const TRUNKLINE: HeaderName = HeaderName::from_static("trunkline");

/// The version of this package, as the header's value.
pub(crate) const VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));

/// All that one kind of listener serves over plain HTTP.
pub(crate) fn router(app: &Arc<App>, serves: Serves) -> Router {
    let mut router = Router::new();
    let doors = serves.doors.any();
    if doors {
        router = router.route("/connect", any(door::over_hyper));
    }
    if serves.doors.sse {
        router = router
            .route("/events", get(door::sse::events).options(door::sse::preflight))
            .route("/commands", post(door::sse::commands).options(door::sse::preflight));
    }
    router = match (doors, serves.dev) {
        (true, true) => router.route("/", options(door::over_hyper).get(dev::page)),
        (true, false) => router.route("/", options(door::over_hyper)),
        (false, _) => router,
    };
    if doors && serves.dev {
        router = router.route("/dev/ticket", post(dev::ticket)).route("/{asset}", get(dev::asset));
    }
    if serves.api {
        let v1 = Router::new()
            .route("/publish", post(api::publish))
            .route("/broadcast", post(api::broadcast))
            .route("/presence", get(api::presence))
            .route("/history", get(api::history))
            .route("/channels", get(api::channels))
            .route("/tickets", post(api::tickets))
            .route("/sessions", get(api::sessions))
            .route("/disconnect", post(api::disconnect))
            .route("/node", get(api::node))
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .layer(middleware::from_fn_with_state(app.clone(), auth::require_key));
        router = router.nest("/api/v1", v1).route("/healthz", get(healthz)).route("/readyz", get(readyz));
        let metrics = get(metrics);
        let metrics = match serves.local {
            true => {
                metrics.layer(middleware::from_fn_with_state(app.clone(), auth::require_key_of_strangers))
            }
            false => metrics.layer(middleware::from_fn_with_state(app.clone(), auth::require_key)),
        };
        router = router.route("/metrics", metrics);
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), count_and_sign))
        .with_state(app.clone())
}

/// The process runs.
async fn healthz() -> Response {
    plain(StatusCode::OK, "ok\n")
}

/// Clients may be sent here: the server is not stopping and the broker answers.
async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.stop.is_stopping() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match app.node.ready().await {
        Ok(()) => plain(StatusCode::OK, "ready\n"),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let media_type = HeaderValue::from_static(crate::metrics::MEDIA_TYPE);
    ([(CONTENT_TYPE, media_type)], app.metrics.render()).into_response()
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(uri.path())
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::method_not_allowed(&method)
}

async fn count_and_sign(State(app): State<Arc<App>>, request: Request, next: middleware::Next) -> Response {
    let mut response = next.run(request).await;
    app.metrics.http_answered(response.status());
    response.headers_mut().insert(TRUNKLINE, VERSION);
    response
}

fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, text.into()).into_response()
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
    use tower::ServiceExt;

    use super::*;
    use crate::config::Doors;
    use crate::{Config, Server};

    async fn status(app: &Arc<App>, local: bool, path: &str, key: Option<&str>) -> (StatusCode, bool) {
        let serves = Serves { doors: Doors::ALL, api: true, dev: false, local };
        let mut request = Request::get(path);
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(Body::empty()).expect("a request");
        let Ok(response) = router(app, serves).oneshot(request).await;
        (response.status(), response.headers().contains_key(WWW_AUTHENTICATE))
    }

    #[tokio::test]
    async fn metrics_ask_for_the_key_where_strangers_can_connect() {
        let server = Server::new(Config::default()).expect("no problems");
        let key = server.api_key().reveal();
        let app = &server.app;
        assert_eq!(status(app, true, "/metrics", None).await, (StatusCode::OK, false));
        assert_eq!(status(app, false, "/metrics", None).await, (StatusCode::UNAUTHORIZED, true));
        assert_eq!(status(app, false, "/metrics", Some(key)).await, (StatusCode::OK, false));
        assert_eq!(status(app, false, "/healthz", None).await, (StatusCode::OK, false));
    }
}
