alias Held$S = vec4<f16>;

fn hold_$s(v: vec4<f32>) -> Held$S {
    return vec4<f16>(v);
}

fn held_$s(h: Held$S) -> vec4<f32> {
    return vec4<f32>(h);
}
