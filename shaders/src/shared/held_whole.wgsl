alias Held$S = vec4<Number>;

fn hold_$s(v: vec4<Number>) -> Held$S {
    return v;
}

fn held_$s(h: Held$S) -> vec4<Number> {
    return h;
}
