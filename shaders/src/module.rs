//! Shaders as modules of naga's: what WGSL has no words for.

use naga::{CooperativeRole, CooperativeSize, Expression, Handle, Module, Type, TypeInner};

use crate::{Factors, Shader};

impl Shader {
    /// Rows, columns and depth of its products of matrices, where WGSL cannot name the matrices, for it knows square ones
    /// alone: then the text is not the shader, but [`Self::module`].
    pub fn reshaped(&self) -> Option<[u32; 3]> {
        let rectangles = Factors::ALL.into_iter().filter(|factors| factors.square().is_none());
        let mut shapes = rectangles
            .filter(|f| self.needs.cover(f.needs()))
            .filter_map(Factors::matrix);
        shapes.next()
    }

    /// The parsed text, matrices in their real shape.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn module(&self) -> Result<Module, String> {
        let parsed = naga::front::wgsl::parse_str(&self.source);
        let mut module = parsed.map_err(|error| format!("{}: {}", self.name, error.emit_to_string(&self.source)))?;
        if let Some(shape) = self.reshaped() {
            reshape(&mut module, shape);
        }
        Ok(module)
    }
}

/// Gives the matrices of a product A B + C their shape, `[M, N, K]`.
fn reshape(module: &mut Module, [m, n, k]: [u32; 3]) {
    let size = |size| match size {
        8 => CooperativeSize::Eight,
        _ => CooperativeSize::Sixteen,
    };
    let sizes = |role| match role {
        CooperativeRole::A => (size(m), size(k)),
        CooperativeRole::B => (size(k), size(n)),
        CooperativeRole::C => (size(m), size(n)),
    };
    let types: Vec<(Handle<Type>, Type)> = module.types.iter().map(|(h, ty)| (h, ty.clone())).collect();
    for (handle, mut ty) in types {
        let TypeInner::CooperativeMatrix {
            rows, columns, role, ..
        } = &mut ty.inner
        else {
            continue;
        };
        let before = (*rows, *columns);
        (*rows, *columns) = sizes(*role);
        // An arena takes no type twice.
        if (*rows, *columns) != before {
            module.types.replace(handle, ty);
        }
    }
    // Kernels have matrices in the entry point alone.
    for entry in &mut module.entry_points {
        for (_, expression) in entry.function.expressions.iter_mut() {
            if let Expression::CooperativeLoad {
                rows, columns, role, ..
            } = expression
            {
                (*rows, *columns) = sizes(*role);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use naga::{CooperativeRole, TypeInner};

    use crate::{Factors, Kernel, peak::Peak};

    #[test]
    fn matrices_have_the_shape_of_the_factors() {
        for factors in Peak::MATRICES {
            let shader = Peak::Matrices(factors).shader();
            let module = shader.module().unwrap();
            let [m, n, k] = factors.matrix().unwrap();
            let mut found = Vec::new();
            for (_, ty) in module.types.iter() {
                let TypeInner::CooperativeMatrix {
                    rows, columns, role, ..
                } = ty.inner
                else {
                    continue;
                };
                let expected = match role {
                    CooperativeRole::A => [m, k],
                    CooperativeRole::B => [k, n],
                    CooperativeRole::C => [m, n],
                };
                assert_eq!([rows as u32, columns as u32], expected, "{} {role:?}", shader.name);
                found.push(role);
            }
            assert_eq!(found.len(), 3, "{found:?}");
        }
        assert_eq!(Peak::F16.shader().reshaped(), None);
        assert_eq!(Peak::Matrices(Factors::Matrix16).shader().reshaped(), None);
    }
}
