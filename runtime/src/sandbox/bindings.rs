//! Bindings generated from `wit/`. Nothing but generated code and its configuration.
wasmtime::component::bindgen!({
    path: "../wit",
    world: "everwit:capability/capability",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "everwit:http/client.response": crate::sandbox::imports::http::Response,
        "everwit:secrets/handles.secret": crate::sandbox::imports::secrets::Secret,
    },
});
