//! The same component on the engine alone, with the fewest steps that call it: a store, an
//! instance, the one export. No limits, no accounting.

use everwit_runtime::sandbox::engine::{EngineClass, Purpose, config};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "everwit:capability/pure-capability",
        exports: { default: async },
    });
}

use bindings::exports::everwit::capability::tools::{Context, Guest, GuestIndices};

/// The engine with the sandbox's settings, and the component linked to nothing.
pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
    tools: GuestIndices,
}

impl Bare {
    pub(crate) fn new(wasm: &[u8]) -> Self {
        let engine = Engine::new(&config(EngineClass::Small, Purpose::Run)).expect("an engine");
        let component = Component::from_binary(&engine, wasm).expect("a component");
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component).expect("imports");
        let pre = linker.instantiate_pre(&component).expect("linked");
        let tools = GuestIndices::new(&pre).expect("the world");
        Self { engine, pre, tools }
    }

    fn store(&self) -> Store<()> {
        let mut store = Store::new(&self.engine, ());
        store.set_fuel(u64::MAX).expect("fuel is on");
        store
    }

    /// One call in a fresh instance.
    pub(crate) async fn fresh(&self) {
        self.warm().await;
    }

    /// An instance to be called again and again.
    pub(crate) async fn warm(&self) -> Warm {
        let mut store = self.store();
        let instance = self.pre.instantiate_async(&mut store).await.expect("an instance");
        let guest = self.tools.load(&mut store, &instance).expect("the export");
        call(&guest, &mut store).await;
        Warm { store, guest }
    }
}

/// A live instance.
pub(crate) struct Warm {
    store: Store<()>,
    guest: Guest,
}

impl Warm {
    pub(crate) async fn call(&mut self) {
        call(&self.guest, &mut self.store).await;
    }
}

async fn call(guest: &Guest, store: &mut Store<()>) {
    let context = Context {
        org: "0123456789abcdef0123456789abcdef".to_owned(),
        session: "0123456789abcdef0123456789abcdef".to_owned(),
        turn: "0123456789abcdef0123456789abcdef".to_owned(),
        idempotency_key: "call_1".to_owned(),
        config: "{}".to_owned(),
        locale: None,
        extra: Vec::new(),
    };
    let (tool, arguments) = ("add", "{\"a\":2.0,\"b\":3.0}".to_owned());
    let called = guest.call_call(store, &context, tool, &arguments).await;
    called.expect("no trap").expect("no failure");
}
