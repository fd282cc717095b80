//! Types and functions generated from the contract. Everything public wraps them, so that a
//! capability's source does not depend on how bindings are generated.

wit_bindgen::generate!({
    path: "wit",
    world: "everwit:capability/capability",
    default_bindings_module: "everwit_guest::__private::bindings",
    export_macro_name: "export_capability",
    pub_export_macro: true,
    generate_all,
});
