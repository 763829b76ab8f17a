// Times products and attention on the first device of ggml that is no processor. A line of standard input is a shape:
//     gemm TYPE ROWS COLUMNS K            rows of x (f32) times the transpose of COLUMNS rows of weights of TYPE
//     attention HEADS QUERIES KEYS WIDTH  keys and values in f16
// and answered by one line: the error against ggml's processor (normalised mean square; -1 where that takes too long),
// then the seconds of each sample; or by a word that says why not. The first line names version and device.
// usage: ggml-peer SECONDS      of all samples of a shape
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <strings.h>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace {

constexpr size_t LEAST = 3, MOST = 100;  // samples
constexpr double SAMPLE = 2e-3;          // seconds of one at least, by repeating the operation
constexpr int REPEATS = 1000;
constexpr double COMPARED = 2e10;  // operations that the processor may repeat

using Context = std::unique_ptr<ggml_context, decltype(&ggml_free)>;
using Buffer = std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)>;

struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

ggml_type type_of(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
        const char * known = ggml_type_name(ggml_type(i));
        if (known && !strcasecmp(known, name.c_str())) {
            return ggml_type(i);
        }
    }
    throw Error("unknown-type");
}

// The operation of a line, and how many operations it takes.
std::pair<ggml_tensor *, double> build(ggml_context * context, const std::string & line) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "gemm") {
        std::string type;
        int64_t m, n, k;
        words >> type >> m >> n >> k;
        ggml_tensor * weights = ggml_new_tensor_2d(context, type_of(type), k, n);
        ggml_tensor * x = ggml_new_tensor_2d(context, GGML_TYPE_F32, k, m);
        return {ggml_mul_mat(context, weights, x), 2.0 * m * n * k};
    }
    if (kind == "attention") {
        int64_t heads, queries, keys, width;
        words >> heads >> queries >> keys >> width;
        ggml_tensor * q = ggml_new_tensor_3d(context, GGML_TYPE_F32, width, queries, heads);
        ggml_tensor * k = ggml_new_tensor_3d(context, GGML_TYPE_F16, width, keys, heads);
        ggml_tensor * v = ggml_new_tensor_3d(context, GGML_TYPE_F16, width, keys, heads);
        ggml_tensor * out = ggml_flash_attn_ext(context, q, k, v, nullptr, 1 / std::sqrt(float(width)), 0, 0);
        return {out, 4.0 * heads * queries * keys * width};
    }
    throw Error("unknown-operation");
}

void fill(ggml_tensor * tensor) {
    static std::mt19937 generator;
    std::uniform_real_distribution<float> numbers(-1, 1);
    std::vector<float> values(ggml_nelements(tensor));
    for (float & value : values) {
        value = numbers(generator);
    }
    std::vector<char> bytes(ggml_nbytes(tensor));
    if (tensor->type == GGML_TYPE_F32) {
        memcpy(bytes.data(), values.data(), bytes.size());
    } else {
        ggml_quantize_chunk(tensor->type, values.data(), bytes.data(), 0, ggml_nrows(tensor), tensor->ne[0], nullptr);
    }
    ggml_backend_tensor_set(tensor, bytes.data(), 0, bytes.size());
}

double seconds(ggml_backend_t backend, ggml_cgraph * graph) {
    auto start = std::chrono::steady_clock::now();
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) {
        throw Error("failed");
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Adds to `sums` squares of the differences and of what is expected.
bool add_squares(int, ggml_tensor * found, ggml_tensor * expected, void * sums) {
    std::vector<float> a(ggml_nelements(found)), b(a.size());
    ggml_backend_tensor_get(found, a.data(), 0, ggml_nbytes(found));
    ggml_backend_tensor_get(expected, b.data(), 0, ggml_nbytes(expected));
    double * s = static_cast<double *>(sums);
    for (size_t i = 0; i < a.size(); ++i) {
        s[0] += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
        s[1] += double(b[i]) * b[i];
    }
    return true;
}

void measure(ggml_backend_t device, ggml_backend_t processor, const std::string & line, double total) {
    ggml_init_params params = {ggml_tensor_overhead() * 16 + ggml_graph_overhead_custom(REPEATS, false), nullptr, true};
    Context context(ggml_init(params), ggml_free);
    auto [out, flops] = build(context.get(), line);
    if (!ggml_backend_supports_op(device, out)) {
        throw Error("unsupported");
    }
    Buffer buffer(ggml_backend_alloc_ctx_tensors(context.get(), device), ggml_backend_buffer_free);
    if (!buffer) {
        throw Error("out-of-memory");
    }
    for (int i = 0; i < GGML_MAX_SRC && out->src[i]; ++i) {
        fill(out->src[i]);
    }
    ggml_cgraph * graph = ggml_new_graph_custom(context.get(), REPEATS, false);
    ggml_build_forward_expand(graph, out);
    seconds(device, graph);  // compiles
    double error = -1;
    if (flops <= COMPARED) {
        double squares[2] = {0, 0};
        if (!ggml_backend_compare_graph_backend(device, processor, graph, add_squares, squares, nullptr, 0)) {
            throw Error("not-compared");
        }
        error = squares[0] / squares[1];
    }
    double once = seconds(device, graph);
    int repeats = std::min(REPEATS - 1.0, std::max(1.0, std::ceil(SAMPLE / once)));
    for (int i = 1; i < repeats; ++i) {
        ggml_graph_add_node(graph, out);
    }
    std::vector<double> samples;
    double sum = 0;
    while (samples.size() < MOST && (sum < total || samples.size() < LEAST)) {
        double sample = seconds(device, graph);
        sum += sample;
        samples.push_back(sample / repeats);
    }
    printf("%g", error);
    for (double sample : samples) {
        printf(" %.9g", sample);
    }
}

}  // namespace

int main(int argc, char ** argv) {
    double total = argc == 2 ? atof(argv[1]) : 0;
    if (total <= 0) {
        fprintf(stderr, "usage: ggml-peer SECONDS < SHAPES\n");
        return 2;
    }
    ggml_backend_load_all();
    ggml_backend_t device = nullptr;
    for (size_t i = 0; i < ggml_backend_dev_count() && !device; ++i) {
        ggml_backend_dev_t found = ggml_backend_dev_get(i);
        auto type = ggml_backend_dev_type(found);
        if (type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU) {
            device = ggml_backend_dev_init(found, nullptr);
        }
    }
    ggml_backend_t processor = ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr);
    if (!device || !processor) {
        fprintf(stderr, "ggml sees no device; a software driver must be asked for by GGML_VK_VISIBLE_DEVICES=0\n");
        return 1;
    }
    printf("%s\t%s\n", ggml_version(), ggml_backend_dev_description(ggml_backend_get_device(device)));
    for (std::string line; std::getline(std::cin, line);) {
        try {
            measure(device, processor, line, total);
        } catch (const Error & error) {
            printf("%s", error.what());
        }
        printf("\n");
        fflush(stdout);
    }
    ggml_backend_free(device);
    ggml_backend_free(processor);
}
