//! Bindings generated from `wit/`. Nothing but generated code and its configuration.
//!
//! One world with all that any component may import and export, so that the types of contents and
//! permissions are the same for all kinds. Its exports are never asked for together: each
//! interface is looked up by itself.
wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package everwit:host-side;

        world components {
            include everwit:capability/capability@1.0.0;
            import everwit:files/store@1.0.0;
            import everwit:secrets/reveal@1.0.0;
            import everwit:tools/calls@1.0.0;
            export everwit:driver/meta@1.0.0;
            export everwit:driver/codec@1.0.0;
            export everwit:driver/discovery@1.0.0;
            export everwit:driver/token-exchange@1.0.0;
            export everwit:connection/meta@1.0.0;
            export everwit:connection/validation@1.0.0;
        }
    ",
    world: "everwit:host-side/components",
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "everwit:http/client.response": crate::sandbox::imports::http::Response,
        "everwit:secrets/handles.secret": crate::sandbox::imports::secrets::Secret,
    },
});
