alias Held$S = vec2<u32>;

fn hold_$s(v: vec4<f32>) -> Held$S {
    return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}

fn held_$s(h: Held$S) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y));
}
