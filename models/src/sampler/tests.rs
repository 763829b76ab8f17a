//! Schedules against the sources' test vectors; solvers against exact solutions; checkpoints against themselves.

use serde_json::json;

use super::*;

fn timesteps(schedule: &Schedule) -> Vec<f32> {
    schedule.timesteps.clone()
}

#[test]
fn official_grid_has_the_repository_s_timesteps() {
    let shift12 = timesteps(&Schedule::wan_unipc(40, 12.0).unwrap());
    assert_eq!(shift12[..4], [999.0, 997.0, 995.0, 993.0]);
    assert_eq!(shift12[36..], [571.0, 492.0, 386.0, 235.0]);
    assert_eq!(shift12.iter().filter(|&&t| t >= 875.0).count(), 26);
    let shift5 = timesteps(&Schedule::wan_unipc(40, 5.0).unwrap());
    assert_eq!(shift5[..4], [999.0, 994.0, 989.0, 983.0]);
    assert_eq!(shift5[36..], [356.0, 288.0, 208.0, 113.0]);
    assert_eq!(shift5.iter().filter(|&&t| t >= 900.0).count(), 15);
}

#[test]
fn the_presets_differ_in_start_and_rounding() {
    let first = |preset: Preset, kind| {
        let schedule = preset.schedule(kind, 20, 8.0).unwrap();
        assert_eq!(schedule.sigmas.len(), 21);
        assert_eq!(schedule.sigmas[20], 0.0);
        (schedule.sigmas[0], schedule.timesteps[0], schedule.timesteps[3])
    };
    let (sigma, t0, t3) = first(Preset::Official, SamplerKind::UniPc);
    assert!((sigma - 0.999_874_9).abs() < 1e-6 && t0 == 999.0 && t3.fract() == 0.0);
    let (sigma, t0, t3) = first(Preset::Diffusers, SamplerKind::UniPc);
    assert!(sigma < 1.0 && sigma > 0.999_998 && t0 == 999.0 && t3.fract() == 0.0);
    let (sigma, t0, t3) = first(Preset::Comfy, SamplerKind::UniPc);
    assert!(sigma == 1.0 && t0 == 1000.0 && t3.fract() != 0.0);
    let (sigma, t0, _) = first(Preset::Official, SamplerKind::DpmPp2m);
    assert!(sigma == 1.0 && t0 == 1000.0);
    let (sigma, _, _) = first(Preset::Diffusers, SamplerKind::DpmPp2m);
    assert!((sigma - 0.999_874_9).abs() < 1e-6);
}

#[test]
fn names_round_trip_and_unknown_names_list_the_known() {
    for (name, kind) in SamplerKind::ALL {
        assert_eq!(name.parse::<SamplerKind>().unwrap(), kind);
        assert_eq!(kind.to_string(), name);
    }
    for (name, preset) in Preset::ALL {
        assert_eq!(name.parse::<Preset>().unwrap(), preset);
        assert_eq!(preset.to_string(), name);
    }
    let error = "ddim".parse::<SamplerKind>().unwrap_err().to_string();
    assert!(error.contains("ddim") && error.contains("unipc3"), "{error}");
}

#[test]
fn steps_and_shifts_out_of_range_are_errors() {
    for (_, kind) in SamplerKind::ALL {
        for (_, preset) in Preset::ALL {
            assert!(matches!(build(kind, preset, 0, 5.0), Err(SamplerError::Steps(0))));
            assert!(build(kind, preset, MAX_STEPS + 1, 5.0).is_err());
            for shift in [0.0, -1.0, f64::NAN, f64::INFINITY] {
                assert!(matches!(build(kind, preset, 4, shift), Err(SamplerError::Shift(_))));
            }
            assert!(build(kind, preset, 1, 5.0).is_ok());
        }
    }
}

/// The flow of Gaussian data of variance `s2`: `v = -x·((1 - sigma)·s2 - sigma) / ((1 - sigma)²·s2 + sigma²)`,
/// along which x keeps its quantile: `x(0) = x(1)·s`.
fn gaussian_velocity(x: f64, sigma: f64, s2: f64) -> f64 {
    let alpha = 1.0 - sigma;
    -x * (alpha * s2 - sigma) / (alpha * alpha * s2 + sigma * sigma)
}

fn solve(kind: SamplerKind, preset: Preset, steps: usize) -> f64 {
    let mut sampler = build(kind, preset, steps, 3.0).unwrap();
    let mut latent = vec![1.0_f32, -2.0];
    for i in 0..steps {
        let sigma = f64::from(sampler.schedule().sigmas[i]);
        let v: Vec<f32> = latent
            .iter()
            .map(|&x| gaussian_velocity(f64::from(x), sigma, 0.25) as f32)
            .collect();
        sampler.step(i, &v, &mut latent);
    }
    assert!((latent[1] + 2.0 * latent[0]).abs() < 1e-5, "linear in the start");
    (f64::from(latent[0]) - 0.5).abs()
}

#[test]
fn solvers_converge_to_the_exact_flow_and_higher_orders_faster() {
    for (_, preset) in Preset::ALL {
        let error = |kind| solve(kind, preset, 40);
        let (euler, dpm) = (error(SamplerKind::Euler), error(SamplerKind::DpmPp2m));
        let (unipc, unipc3) = (error(SamplerKind::UniPc), error(SamplerKind::UniPc3));
        assert!(euler < 0.05, "{preset} euler {euler}");
        assert!(dpm < 0.5 * euler, "{preset} dpm++ {dpm} euler {euler}");
        assert!(
            unipc < 0.5 * euler && unipc3 < 0.5 * euler,
            "{preset} unipc {unipc} {unipc3} euler {euler}"
        );
    }
}

/// A deterministic stand-in for a model: nonlinear in the latent, different at each step.
fn model(i: usize, latent: &[f32]) -> Vec<f32> {
    latent
        .iter()
        .enumerate()
        .map(|(j, x)| (x * 1.7 + j as f32 + i as f32 * 0.3).sin())
        .collect()
}

#[test]
fn a_restored_run_gives_the_same_bits() {
    for (_, kind) in SamplerKind::ALL {
        let steps = 7;
        let start: Vec<f32> = (0..33).map(|j| (j as f32 * 0.77).cos() * 2.0).collect();
        let mut whole = start.clone();
        let mut sampler = build(kind, Preset::Official, steps, 5.0).unwrap();
        for i in 0..steps {
            let v = model(i, &whole);
            sampler.step(i, &v, &mut whole);
        }
        for stop in 0..=steps {
            let mut latent = start.clone();
            let mut sampler = build(kind, Preset::Official, steps, 5.0).unwrap();
            for i in 0..steps {
                if i == stop {
                    let saved = serde_json::to_string(&sampler.state()).unwrap();
                    sampler = build(kind, Preset::Official, steps, 5.0).unwrap();
                    sampler.restore(serde_json::from_str(&saved).unwrap()).unwrap();
                }
                let v = model(i, &latent);
                sampler.step(i, &v, &mut latent);
            }
            let bits = |tensor: &[f32]| tensor.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&latent), bits(&whole), "{kind} stopped before step {stop}");
        }
    }
}

#[test]
fn states_that_do_not_fit_are_errors() {
    let mut latent = vec![1.0; 4];
    let mut unipc = build(SamplerKind::UniPc, Preset::Official, 5, 5.0).unwrap();
    for i in 0..3 {
        unipc.step(i, &[0.5; 4], &mut latent);
    }
    let good = unipc.state();
    let refused = |kind, steps, state: &SamplerState| {
        let mut sampler = build(kind, Preset::Official, steps, 5.0).unwrap();
        matches!(sampler.restore(state.clone()), Err(SamplerError::State(_)))
    };
    assert!(!refused(SamplerKind::UniPc, 5, &good));
    assert!(refused(SamplerKind::UniPc, 2, &good));
    for kind in [SamplerKind::UniPc3, SamplerKind::Euler, SamplerKind::DpmPp2m] {
        assert!(refused(kind, 5, &good), "{kind}");
    }
    let broken: [fn(&mut SamplerState); 5] = [
        |state| state.history.clear(),
        |state| state.history[1].push(0.0),
        |state| state.last_sample = None,
        |state| state.last_order = 3,
        |state| state.next_step = 0,
    ];
    for (n, spoil) in broken.iter().enumerate() {
        let mut state = good.clone();
        spoil(&mut state);
        assert!(refused(SamplerKind::UniPc, 5, &state), "broken state {n}");
    }
}

#[test]
#[should_panic(expected = "steps must follow each other")]
fn a_step_out_of_order_is_refused() {
    build(SamplerKind::UniPc, Preset::Official, 5, 5.0)
        .unwrap()
        .step(1, &[0.0], &mut [0.0]);
}

#[test]
fn euler_follows_diffusers_odd_settings() {
    let ltx = json!({"use_dynamic_shifting": true, "base_shift": 0.95, "max_shift": 2.05, "shift_terminal": 0.1});
    let args = json!({"num_inference_steps": 2, "set_timesteps": {"sigmas": [1.0, 0.5], "mu": 0.884765625}});
    let sampler = from_diffusers("FlowMatchEulerDiscreteScheduler", &ltx, &args).unwrap();
    assert!((sampler.schedule().sigmas[1] - 0.1).abs() < 1e-6);
    let mochi = json!({"invert_sigmas": true});
    let args = json!({"num_inference_steps": 2, "set_timesteps": {"sigmas": [1.0, 0.25]}});
    let sampler = from_diffusers("FlowMatchEulerDiscreteScheduler", &mochi, &args).unwrap();
    assert_eq!(sampler.schedule().sigmas, [0.0, 0.75, 1.0]);
    assert_eq!(sampler.schedule().timesteps, [0.0, 750.0]);
    // Without explicit levels a constant shift acts twice.
    let args = json!({"num_inference_steps": 3});
    let sampler = from_diffusers("FlowMatchEulerDiscreteScheduler", &json!({"shift": 7.0}), &args).unwrap();
    let once = 7.0 * 0.001 / (1.0 + 6.0 * 0.001);
    let twice = 7.0 * once / (1.0 + 6.0 * once);
    assert!((f64::from(sampler.schedule().sigmas[2]) - twice).abs() < 1e-7);
}

#[test]
fn diffusers_settings_that_are_not_implemented_are_errors() {
    let good = json!({"_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction",
        "use_flow_sigmas": true, "flow_shift": 3.0, "beta_start": 0.0001, "sigma_min": null, "solver_p": null});
    let args = json!({"num_inference_steps": 4, "set_timesteps": {}, "note": "text"});
    assert!(from_diffusers("UniPCMultistepScheduler", &good, &args).is_ok());
    for (key, value) in [
        ("prediction_type", json!("epsilon")),
        ("use_flow_sigmas", json!(false)),
        ("use_karras_sigmas", json!(true)),
        ("solver_type", json!("bh1")),
        ("solver_order", json!(4)),
        ("final_sigmas_type", json!("sigma_min")),
        ("thresholding", json!(true)),
        ("flow_shift", json!("big")),
        ("flow_shift", json!(-1)),
        ("use_dynamic_shifting", json!(true)),
        ("solver_p", json!({})),
        ("something_new", json!(1)),
    ] {
        let mut config = good.clone();
        config[key] = value;
        let error = from_diffusers("UniPCMultistepScheduler", &config, &args).err();
        assert!(error.is_some(), "{key}");
    }
    for args in [
        json!({"num_inference_steps": 0}),
        json!({"num_inference_steps": -3}),
        json!({"num_inference_steps": 4, "set_timesteps": {"sigmas": [0.5]}}),
        json!({"num_inference_steps": 4, "set_timesteps": {"mu": 1.0}}),
        json!({"num_inference_steps": 2, "set_timesteps": {"sigmas": [0.5, 0.9]}}),
        json!({"num_inference_steps": 2, "set_timesteps": {"sigmas": [1e300, -5.0]}}),
        json!({"num_inference_steps": 4, "eta": 1.0}),
        json!([]),
    ] {
        assert!(
            from_diffusers("UniPCMultistepScheduler", &good, &args).is_err(),
            "{args}"
        );
    }
    assert!(matches!(
        from_diffusers("DDIMScheduler", &good, &args),
        Err(SamplerError::Class { .. })
    ));
}
