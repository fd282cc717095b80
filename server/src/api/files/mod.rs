//! The files of a session, for its owner: read-only files can be changed here.

mod body;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;
use everwit_runtime::file::{Deletion, Expected, FilePath, FileWrite, GrepQuery};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::limits::MAX_KV_KEYS;
use everwit_runtime::store::{KvScope, RuntimeFileStore, StoreError};
use utoipa::IntoParams;

use crate::api::extract::{FromParams, JsonBody, Params, Query};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{CreateFile, Deleted, FileBody, FileList, FileOrList, Grep, GrepBody, KeyList, OnePath, StorageKey, TwoPaths, UpdateFile};

/// Whether everything below is meant.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Recursive {
    /// Whether everything below a directory is meant.
    #[param(default = false)]
    recursive: Option<bool>,
}

impl FromParams for Recursive {
    fn from_params(params: &mut Params) -> Self {
        Self { recursive: params.one("recursive", "true or false") }
    }
}

/// The files of one session, which exists.
struct Files {
    app: App,
    org: OrgId,
    session: SessionId,
}

impl Files {
    async fn new(app: App, caller: &Caller, session: &str) -> Result<Self, Problem> {
        let session = resolve::session(&app, caller.org, session).await?.id;
        Ok(Self { app, org: caller.org, session })
    }

    fn store(&self) -> &dyn RuntimeFileStore {
        self.app.stores.file_store.as_ref()
    }

    async fn list(&self, path: &FilePath, recursive: Recursive) -> Result<FileList, Problem> {
        let found =
            self.store().list_directory(self.org, self.session, path, recursive.recursive.unwrap_or(false)).await.map_err(refused)?;
        let total = found.len() as u64;
        Ok(FileList { data: found.into_iter().map(|stat| FileBody::new(self.session, stat)).collect(), total })
    }

    async fn read(&self, path: &FilePath) -> Result<FileBody, Problem> {
        let file = self.store().read_file(self.org, self.session, path).await.map_err(refused)?.ok_or_else(|| absent(path))?;
        Ok(FileBody::with_content(self.session, file))
    }

    async fn write(&self, path: &FilePath, write: FileWrite) -> Result<Json<FileBody>, Problem> {
        let stat = self.store().write_file(self.org, self.session, path, write).await.map_err(refused)?;
        Ok(Json(FileBody::new(self.session, stat)))
    }
}

fn absent(path: &FilePath) -> Problem {
    Problem::not_found("file", path.as_str())
}

fn parse(path: &str) -> Result<FilePath, Problem> {
    FilePath::parse(path).map_err(|error| Problem::bad_request("invalid_path", error.to_string()))
}

fn decode(content: &str, encoding: everwit_runtime::file::FileEncoding) -> Result<Vec<u8>, Problem> {
    encoding.decode(content).map_err(|error| {
        let finding = Finding::at("/content", "not_base64", format!("the content is not base64: {error}"));
        Problem::invalid(vec![finding.fix("send base64 with padding, or leave encoding out")])
    })
}

fn refused(error: StoreError) -> Problem {
    match &error {
        StoreError::NotFound { id, .. } => Problem::not_found("file", id),
        StoreError::File { .. } => Problem::conflict("not_possible", error.to_string()),
        StoreError::Limit(_) => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "file_limit", error.to_string()),
        _ => error.into(),
    }
}

/// List the files of a session
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/fs",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id"), Recursive),
    responses((status = 200, body = FileList)),
)]
pub(crate) async fn list_files(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
    Query(recursive): Query<Recursive>,
) -> Result<Json<FileList>, Problem> {
    Files::new(app, &caller, &session).await?.list(&FilePath::root(), recursive).await.map(Json)
}

/// Read a file, or list a directory
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/fs/{*path}",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id"), ("path" = String, Path, description = "Path, with its slashes"), Recursive),
    responses((status = 200, body = FileOrList)),
)]
pub(crate) async fn get_file(
    State(app): State<App>,
    caller: Caller,
    Path((session, path)): Path<(String, String)>,
    Query(recursive): Query<Recursive>,
) -> Result<Json<FileOrList>, Problem> {
    let (files, path) = (Files::new(app, &caller, &session).await?, parse(&path)?);
    let stat = files.store().stat_file(files.org, files.session, &path).await.map_err(refused)?.ok_or_else(|| absent(&path))?;
    Ok(Json(match stat.is_directory {
        true => FileOrList::List(files.list(&path, recursive).await?),
        false => FileOrList::File(Box::new(files.read(&path).await?)),
    }))
}

/// Create a file or a directory
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/fs/{*path}",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id"), ("path" = String, Path, description = "Path, with its slashes")),
    request_body = CreateFile,
    responses(
        (status = 201, body = FileBody),
        (status = 409, description = "Something is there already, or a file is where a directory is needed"),
        (status = 413, description = "The file, or the session's files together, would be too large"),
    ),
)]
pub(crate) async fn create_file(
    State(app): State<App>,
    caller: Caller,
    Path((session, path)): Path<(String, String)>,
    JsonBody(request): JsonBody<CreateFile>,
) -> Result<(StatusCode, Json<FileBody>), Problem> {
    let (files, path) = (Files::new(app, &caller, &session).await?, parse(&path)?);
    let now = files.app.moments.now();
    if !request.is_directory {
        let content = decode(&request.content.unwrap_or_default(), request.encoding)?;
        let write = FileWrite { expected: Expected::Absent, is_readonly: Some(request.is_readonly), ..FileWrite::new(content, now) };
        return Ok((StatusCode::CREATED, files.write(&path, write).await?));
    }
    if request.content.is_some() || request.is_readonly {
        let detail = "a directory has neither content nor is_readonly";
        return Err(Problem::invalid(vec![Finding::at("/is_directory", "exclusive", detail).fix("leave both out")]));
    }
    let stat = files.store().create_directory(files.org, files.session, &path, now).await.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(FileBody::new(files.session, stat))))
}

/// Change a file, or create it
#[utoipa::path(
    put,
    path = "/sessions/{session_id}/fs/{*path}",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id"), ("path" = String, Path, description = "Path, with its slashes")),
    request_body = UpdateFile,
    responses((status = 200, body = FileBody)),
)]
pub(crate) async fn update_file(
    State(app): State<App>,
    caller: Caller,
    Path((session, path)): Path<(String, String)>,
    JsonBody(request): JsonBody<UpdateFile>,
) -> Result<Json<FileBody>, Problem> {
    let (files, path) = (Files::new(app, &caller, &session).await?, parse(&path)?);
    let (content, expected) = match &request.content {
        Some(content) => (decode(content, request.encoding)?, Expected::Any),
        None => {
            let file = files.store().read_file(files.org, files.session, &path).await.map_err(refused)?.ok_or_else(|| absent(&path))?;
            let unchanged = file.stat.content_hash.map_or(Expected::Any, Expected::Content);
            (file.content, unchanged)
        }
    };
    let write =
        FileWrite { expected, is_readonly: request.is_readonly, over_readonly: true, ..FileWrite::new(content, files.app.moments.now()) };
    files.write(&path, write).await
}

/// Delete a file or a directory
#[utoipa::path(
    delete,
    path = "/sessions/{session_id}/fs/{*path}",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id"), ("path" = String, Path, description = "Path, with its slashes"), Recursive),
    responses((status = 200, body = Deleted), (status = 409, description = "The directory is not empty, and recursive is not set")),
)]
pub(crate) async fn delete_file(
    State(app): State<App>,
    caller: Caller,
    Path((session, path)): Path<(String, String)>,
    Query(recursive): Query<Recursive>,
) -> Result<Json<Deleted>, Problem> {
    let (files, path) = (Files::new(app, &caller, &session).await?, parse(&path)?);
    let how = Deletion { recursive: recursive.recursive.unwrap_or(false), over_readonly: true };
    match files.store().delete_file(files.org, files.session, &path, how).await.map_err(refused)? {
        0 if !path.is_root() => Err(absent(&path)),
        deleted => Ok(Json(Deleted { deleted })),
    }
}

/// Read what is known about a file
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/fs/_/stat",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id")),
    request_body = OnePath,
    responses((status = 200, body = FileBody)),
)]
pub(crate) async fn stat_file(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
    JsonBody(OnePath { path }): JsonBody<OnePath>,
) -> Result<Json<FileBody>, Problem> {
    let files = Files::new(app, &caller, &session).await?;
    let stat = files.store().stat_file(files.org, files.session, &path).await.map_err(refused)?.ok_or_else(|| absent(&path))?;
    Ok(Json(FileBody::new(files.session, stat)))
}

/// Search in the files of a session
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/fs/_/grep",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id")),
    request_body = Grep,
    responses((status = 200, body = GrepBody)),
)]
pub(crate) async fn grep_files(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
    JsonBody(Grep { pattern, path_pattern }): JsonBody<Grep>,
) -> Result<Json<GrepBody>, Problem> {
    let files = Files::new(app, &caller, &session).await?;
    let query = GrepQuery { pattern, path_pattern, ..GrepQuery::default() };
    let report = files.store().grep_files(files.org, files.session, &query).await.map_err(refused)?;
    Ok(Json(report.into()))
}

/// Copy a file
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/fs/_/copy",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id")),
    request_body = TwoPaths,
    responses((status = 201, body = FileBody), (status = 409, description = "Something is there already, or it is a directory")),
)]
pub(crate) async fn copy_file(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
    JsonBody(TwoPaths { src_path, dst_path }): JsonBody<TwoPaths>,
) -> Result<(StatusCode, Json<FileBody>), Problem> {
    let files = Files::new(app, &caller, &session).await?;
    let file = files.store().read_file(files.org, files.session, &src_path).await.map_err(refused)?.ok_or_else(|| absent(&src_path))?;
    let write = FileWrite { expected: Expected::Absent, ..FileWrite::new(file.content, files.app.moments.now()) };
    Ok((StatusCode::CREATED, files.write(&dst_path, write).await?))
}

/// Move a file or a directory
#[utoipa::path(
    post,
    path = "/sessions/{session_id}/fs/_/move",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id")),
    request_body = TwoPaths,
    responses((status = 200, body = FileBody), (status = 409, description = "Something is there already, or it is read-only")),
)]
pub(crate) async fn move_file(
    State(app): State<App>,
    caller: Caller,
    Path(session): Path<String>,
    JsonBody(TwoPaths { src_path, dst_path }): JsonBody<TwoPaths>,
) -> Result<Json<FileBody>, Problem> {
    let files = Files::new(app, &caller, &session).await?;
    let now = files.app.moments.now();
    let stat = files.store().move_file(files.org, files.session, &src_path, &dst_path, now).await.map_err(refused)?;
    Ok(Json(FileBody::new(files.session, stat)))
}

/// Download the bytes of a file
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/fs/_/download/{*path}",
    tag = "session-files",
    params(("session_id" = String, Path, description = "Id"), ("path" = String, Path, description = "Path, with its slashes")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream")),
)]
pub(crate) async fn download_file(
    State(app): State<App>,
    caller: Caller,
    Path((session, path)): Path<(String, String)>,
) -> Result<impl IntoResponse, Problem> {
    let (files, path) = (Files::new(app, &caller, &session).await?, parse(&path)?);
    let file = files.store().read_file(files.org, files.session, &path).await.map_err(refused)?.ok_or_else(|| absent(&path))?;
    // A browser must not take what an agent wrote for a page of this server.
    let name: String = url::form_urlencoded::byte_serialize(path.name().as_bytes()).collect::<String>().replace('+', "%20");
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}")),
    ];
    Ok((headers, file.content))
}

/// List the keys of a session's key-value storage
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/storage/keys",
    tag = "session-storage",
    params(("session_id" = String, Path, description = "Id")),
    responses((status = 200, body = KeyList)),
)]
pub(crate) async fn list_keys(State(app): State<App>, caller: Caller, Path(session): Path<String>) -> Result<Json<KeyList>, Problem> {
    let session = resolve::session(&app, caller.org, &session).await?.id;
    let most = u32::try_from(MAX_KV_KEYS).unwrap_or(u32::MAX);
    let keys = app.stores.kv.keys(&KvScope::of_session(caller.org, session), "", None, most).await?;
    Ok(Json(KeyList { total: keys.len() as u64, data: keys.into_iter().map(|key| StorageKey { key }).collect() }))
}
