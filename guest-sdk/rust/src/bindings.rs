//! Types and functions generated from the contract. Everything public wraps or re-exports them, so
//! that a guest's source does not depend on how bindings are generated.

wit_bindgen::generate!({
    path: "wit",
    world: "everwit:capability/capability",
    default_bindings_module: "everwit_guest::__private::bindings",
    export_macro_name: "export_capability",
    pub_export_macro: true,
    generate_all,
});

/// The files of the session, which the world of capabilities of 1.0.0 does not have.
pub mod files {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package everwit:guest-files; world files { import everwit:files/store@1.0.0; }",
        world: "everwit:guest-files/files",
        generate_all,
    });
}

/// Calls of other tools, which that world does not have either.
pub mod tools {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package everwit:guest-tools; world tools { import everwit:tools/calls@1.0.0; }",
        world: "everwit:guest-tools/tools",
        with: {
            "everwit:types/common@1.0.0": crate::bindings::everwit::types::common,
            "everwit:types/content@1.0.0": crate::bindings::everwit::types::content,
            "everwit:types/tools@1.0.0": crate::bindings::everwit::types::tools,
        },
        generate_all,
    });
}

/// What only drivers have. Contents and tools are the types of above.
pub mod driver {
    wit_bindgen::generate!({
        path: "wit",
        world: "everwit:driver/driver",
        default_bindings_module: "everwit_guest::__private::bindings::driver",
        export_macro_name: "export_driver",
        pub_export_macro: true,
        with: {
            "everwit:types/common@1.0.0": crate::bindings::everwit::types::common,
            "everwit:types/content@1.0.0": crate::bindings::everwit::types::content,
            "everwit:types/tools@1.0.0": crate::bindings::everwit::types::tools,
            "everwit:host/log@1.0.0": crate::bindings::everwit::host::log,
            "everwit:host/clock@1.0.0": crate::bindings::everwit::host::clock,
            "everwit:host/random@1.0.0": crate::bindings::everwit::host::random,
            "everwit:http/types@1.0.0": crate::bindings::everwit::http::types,
        },
        generate_all,
    });
}

/// What only connection providers have.
pub mod connection {
    wit_bindgen::generate!({
        path: "wit",
        world: "everwit:connection/connection",
        default_bindings_module: "everwit_guest::__private::bindings::connection",
        export_macro_name: "export_connection",
        pub_export_macro: true,
        with: {
            "everwit:types/common@1.0.0": crate::bindings::everwit::types::common,
            "everwit:host/log@1.0.0": crate::bindings::everwit::host::log,
            "everwit:host/clock@1.0.0": crate::bindings::everwit::host::clock,
            "everwit:host/random@1.0.0": crate::bindings::everwit::host::random,
            "everwit:http/types@1.0.0": crate::bindings::everwit::http::types,
        },
        generate_all,
    });
}

/// The import `everwit:secrets/reveal`, which is in no world: a component that uses it asks for more.
pub mod reveal {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package everwit:guest-reveal; world reveal { import everwit:secrets/reveal@1.0.0; }",
        world: "everwit:guest-reveal/reveal",
        with: {
            "everwit:secrets/handles@1.0.0": crate::bindings::everwit::secrets::handles,
        },
        generate_all,
    });
}

/// The optional export `discovery`.
pub mod discovery {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package everwit:guest-discovery; world discovery { export everwit:driver/discovery@1.0.0; }",
        world: "everwit:guest-discovery/discovery",
        default_bindings_module: "everwit_guest::__private::bindings::discovery",
        export_macro_name: "export_discovery",
        pub_export_macro: true,
        with: {
            "everwit:types/common@1.0.0": crate::bindings::everwit::types::common,
            "everwit:types/content@1.0.0": crate::bindings::everwit::types::content,
            "everwit:types/tools@1.0.0": crate::bindings::everwit::types::tools,
            "everwit:types/chat@1.0.0": crate::bindings::driver::everwit::types::chat,
            "everwit:http/types@1.0.0": crate::bindings::everwit::http::types,
            "everwit:driver/config@1.0.0": crate::bindings::driver::everwit::driver::config,
        },
        generate_all,
    });
}

/// The optional export `token-exchange`.
pub mod token_exchange {
    wit_bindgen::generate!({
        path: "wit",
        inline: "package everwit:guest-exchange; world token-exchange { export everwit:driver/token-exchange@1.0.0; }",
        world: "everwit:guest-exchange/token-exchange",
        default_bindings_module: "everwit_guest::__private::bindings::token_exchange",
        export_macro_name: "export_token_exchange",
        pub_export_macro: true,
        with: {
            "everwit:types/common@1.0.0": crate::bindings::everwit::types::common,
            "everwit:http/types@1.0.0": crate::bindings::everwit::http::types,
            "everwit:driver/config@1.0.0": crate::bindings::driver::everwit::driver::config,
        },
        generate_all,
    });
}
