// Cooperative matrices: factors and sums of products.
alias MatrixA = coop_mat$Nx$N<f16, A>;
alias MatrixB = coop_mat$Nx$N<f16, B>;
alias MatrixSum = coop_mat$Nx$N<f32, C>;

const SIZE: u32 = $Nu;
