// Cooperative matrices: factors, of SIZE_M x SIZE_K and SIZE_K x SIZE_N, and sums of products.
alias MatrixA = coop_mat$Sx$S<f16, A>;
alias MatrixB = coop_mat$Sx$S<f16, B>;
alias MatrixSum = coop_mat$Sx$S<f32, C>;
