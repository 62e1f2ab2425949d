// What torch leaves apart, fused for the CPU, with a plain C interface. Optional: without it torch does the same.
//
// Recurrent layers; dropout; activations with bias and dropout; softmax cross-entropy with its gradient and the
// number of right answers; Adam; and programs, which run whole training steps of dense networks.
//
// The file includes itself once per instruction set; what lies between BODY
// and its end is compiled for vectors of 4, 8 and 16 floats, and `choose`
// takes at run time what the processor has. Vectors are those of GCC and
// Clang, so the same lines serve x86 and ARM.
//
// Matrices are row by row in memory. Sizes may be anything from zero up.
// Nothing here is compiled with -ffast-math: NaN and infinity stay what they are.

#ifndef UNCRUMPLE_BODY

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif

#if defined(_WIN32)
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {

typedef int64_t Size;

// Memory of one thread that is kept from call to call, so that the system does not hand out fresh pages each time.
struct Scratch {
    void* memory = nullptr;
    Size bytes = 0;
    ~Scratch() { std::free(memory); }
    float* floats(Size count) {
        Size wanted = (count * Size(sizeof(float)) + 63) / 64 * 64;
        if (wanted > bytes) {
            std::free(memory);
            memory = nullptr;
            bytes = 0;
            if (posix_memalign(&memory, 64, size_t(wanted))) return memory = nullptr, nullptr;
            bytes = wanted;
        }
        return static_cast<float*>(memory);
    }
};

inline Size smaller(Size a, Size b) { return a < b ? a : b; }

// The rows that a thread works on.
struct Share {
    int thread;
    Size first, last;
    Share(Size rows, int threads, int which)
        : thread(which), first(rows * which / threads), last(rows * (which + 1) / threads) {}
};

// Multiplies matrices that lie column by column, as BLAS does: torch's own, if Python found it.
typedef void (*Gemm)(const char*, const char*, const int*, const int*, const int*, const float*, const float*,
                     const int*, const float*, const int*, const float*, float*, const int*);
Gemm torch_gemm = nullptr;

enum Activation { LINEAR, RELU, TANH, SIGMOID };

// What a program is made of; the Python side has the same list.
enum Code { MULTIPLY, ACTIVATE, ACTIVATE_BACKWARD, SOFTMAX, CROSSENTROPY, ADAM };
enum Flag { TRANSPOSE_A = 1, TRANSPOSE_B = 2, FROM_LOGITS = 1 };

struct Operation {
    int64_t code, flags;
    int64_t sizes[4];
    void* memory[5];
    double scale;
};

enum Failure { NO_MEMORY = 1, LABEL_OUT_OF_RANGE = 2, NO_SUCH_OPERATION = 3 };

// Spreads a seed over 64 bits (Steele et al., "Fast splittable pseudorandom number generators", 2014), so that seeds
// side by side give numbers that have nothing to do with each other.
inline Size mixed(Size seed) {
    uint64_t z = uint64_t(seed) + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return Size(z ^ (z >> 31));
}

inline int this_thread() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

inline int team_size() {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

}  // namespace

#define UNCRUMPLE_BODY

#if defined(__x86_64__)
#define LANES 16
#define ROWS 8
#define SET avx512
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,fma,prefer-vector-width=512")
#include "kernels.cpp"
#pragma GCC pop_options
#undef LANES
#undef ROWS
#undef SET

#define LANES 8
#define ROWS 4
#define SET avx2
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#include "kernels.cpp"
#pragma GCC pop_options
#undef LANES
#undef ROWS
#undef SET
#endif

#define LANES 4
#define ROWS 4
#define SET plain
#include "kernels.cpp"
#undef LANES
#undef ROWS
#undef SET

namespace {

// 0: plain, 1: AVX2, 2: AVX512
int best_set() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

int chosen_set = best_set();

}  // namespace

#if defined(__x86_64__)
#define DISPATCH(call)              \
    switch (chosen_set) {           \
        case 2: return avx512::call; \
        case 1: return avx2::call;  \
        default: return plain::call; \
    }
#else
#define DISPATCH(call) return plain::call;
#endif

// Changes with every change of a function below, so that an old build is not used by newer Python.
EXPORT int uncrumple_version() { return 1; }

EXPORT int uncrumple_instruction_set() { return chosen_set; }

// For tests: use less than the processor has. Returns what is used from now on.
EXPORT int uncrumple_limit_instruction_set(int most) {
    int best = best_set();
    chosen_set = most < 0 || most > best ? best : most;
    return chosen_set;
}

EXPORT void uncrumple_use_gemm(void* gemm) { torch_gemm = reinterpret_cast<Gemm>(gemm); }

// Runs operations one after the other; returns 0, or what failed (`Failure`).
EXPORT int uncrumple_run(int threads, const Operation* operations, Size count) {
    DISPATCH(run(threads, operations, count))
}

// Keeps each number with the probability 1 - dropped / 2^32, multiplied by `scale`, and sets the others to zero.
// What is kept depends on the seed and the place alone. `to` may be `from`.
EXPORT int uncrumple_dropout(int threads, Size count, Size seed, Size dropped, double scale, const float* from,
                             float* to) {
    DISPATCH(dropout(threads, count, seed, dropped, scale, from, to))
}

// Every function returns 0, or 1 if there was no memory. d_bias has a row per thread, which comes as zeros and leaves
// as the sum over that thread's samples and all time steps: added up in order they are the same on every run.

EXPORT int uncrumple_lstm_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                  float* gates, float* outputs, float* cells) {
    DISPATCH(lstm_forward(threads, time, batch, units, recurrent_kernel, gates, outputs, cells))
}

EXPORT int uncrumple_lstm_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                   const float* gates, const float* cells, const float* d_outputs, Size by_time,
                                   Size by_sample, const float* d_cells, Size cells_by_time, Size cells_by_sample,
                                   float* d_gates, float* d_bias, float* d_h, float* d_c) {
    DISPATCH(lstm_backward(threads, time, batch, units, recurrent_kernel, gates, cells, d_outputs, by_time, by_sample,
                           d_cells, cells_by_time, cells_by_sample, d_gates, d_bias, d_h, d_c))
}

EXPORT int uncrumple_gru_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                 const float* recurrent_bias, float* gates, float* inner, float* outputs) {
    DISPATCH(gru_forward(threads, time, batch, units, recurrent_kernel, recurrent_bias, gates, inner, outputs))
}

EXPORT int uncrumple_gru_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                                  const float* gates, const float* inner, const float* outputs,
                                  const float* d_outputs, Size by_time, Size by_sample, float* d_gates, float* d_bias,
                                  float* d_h) {
    DISPATCH(gru_backward(threads, time, batch, units, recurrent_kernel, gates, inner, outputs, d_outputs, by_time,
                          by_sample, d_gates, d_bias, d_h))
}

EXPORT int uncrumple_simple_rnn_forward(int threads, Size time, Size batch, Size units, int relu,
                                        const float* recurrent_kernel, float* outputs) {
    DISPATCH(simple_rnn_forward(threads, time, batch, units, relu, recurrent_kernel, outputs))
}

EXPORT int uncrumple_simple_rnn_backward(int threads, Size time, Size batch, Size units, int relu,
                                         const float* recurrent_kernel, const float* outputs, const float* d_outputs,
                                         Size by_time, Size by_sample, float* d_sums, float* d_bias, float* d_h) {
    DISPATCH(simple_rnn_backward(threads, time, batch, units, relu, recurrent_kernel, outputs, d_outputs, by_time,
                                 by_sample, d_sums, d_bias, d_h))
}

#else  // BODY: once per instruction set

namespace {
namespace SET {

// --- vectors --------------------------------------------------------------------------

typedef float V __attribute__((vector_size(LANES * 4)));
typedef int32_t VI __attribute__((vector_size(LANES * 4)));
typedef float Loose __attribute__((vector_size(LANES * 4), aligned(4), may_alias));

inline V load(const float* p) { return *reinterpret_cast<const Loose*>(p); }
inline void store(float* p, V v) { *reinterpret_cast<Loose*>(p) = v; }
inline V load_some(const float* p, Size count) {
    V v = {};
    std::memcpy(&v, p, size_t(count) * 4);
    return v;
}
inline void store_some(float* p, V v, Size count) { std::memcpy(p, &v, size_t(count) * 4); }

// Vectors of `count` floats at a time; the last may be shorter.
inline V get(const float* p, Size left) { return left >= LANES ? load(p) : load_some(p, left); }
inline void put(float* p, V v, Size left) {
    if (left >= LANES)
        store(p, v);
    else
        store_some(p, v, left);
}

inline void put_and_add(float* p, float* sum, V v, Size left) {
    put(p, v, left);
    put(sum, get(sum, left) + v, left);
}

// e to the x to one unit in the last place; below -87 it stays at 1e-38, above 88 at 2e38. NaN stays NaN.
// Reduction to |x| <= ln(2) / 2 and the polynomial are those of the Cephes library (Moshier).
inline V exponential(V x) {
    x = x > 88.0f ? V{} + 88.0f : x;
    x = x < -87.0f ? V{} - 87.0f : x;
    const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
    V n = (x * 1.44269504088896341f + magic) - magic;
    x = x - n * 0.693359375f;
    x = x + n * 2.12194440e-4f;
    V p = x * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * x + 8.3334519073e-3f;
    p = p * x + 4.1665795894e-2f;
    p = p * x + 1.6666665459e-1f;
    p = p * x + 5.0000001201e-1f;
    p = p * (x * x) + x + 1.0f;
    VI power = (__builtin_convertvector(n, VI) + 127) << 23;
    return p * (V)power;
}

inline V sigmoid(V x) { return 1.0f / (1.0f + exponential(-x)); }

// Near zero a polynomial (Cephes), which keeps the relative error small there.
inline V tanh(V x) {
    V square = x * x;
    V p = square * -5.70498872745e-3f + 2.06390887954e-2f;
    p = p * square - 5.37397155531e-2f;
    p = p * square + 1.33314422036e-1f;
    p = p * square - 3.33332819422e-1f;
    V near = x + x * square * p;
    V far = 1.0f - 2.0f / (exponential(x + x) + 1.0f);
    return square < 0.390625f ? near : far;
}

// --- products with a matrix that stays the same for all time steps ----------------------

enum { VECTORS = 3, PANEL = VECTORS * LANES };

inline Size packed_size(Size inner, Size columns) { return (columns + PANEL - 1) / PANEL * PANEL * inner; }

// Lays `inner` x `columns` values out in panels of PANEL columns, each row by row; missing columns are zeros.
// Element (k, n) is from[k * by_row + n * by_column].
void pack(const float* from, Size by_row, Size by_column, Size inner, Size columns, Size first_panel, Size last_panel,
          float* to) {
    for (Size panel = first_panel; panel < last_panel; panel++) {
        Size n0 = panel * PANEL, count = smaller(PANEL, columns - n0);
        float* target = to + panel * PANEL * inner;
        for (Size k = 0; k < inner; k++, target += PANEL) {
            const float* source = from + k * by_row + n0 * by_column;
            if (by_column == 1)
                std::memcpy(target, source, size_t(count) * 4);
            else
                for (Size n = 0; n < count; n++) target[n] = source[n * by_column];
            for (Size n = count; n < PANEL; n++) target[n] = 0;
        }
    }
}

// C (M x columns of one panel) = or += A (M x inner) times a panel.
template <int M>
inline void multiply_block(const float* a, Size a_row, Size inner, const float* panel, float* c, Size c_row,
                           Size columns, bool add) {
    V sum[M][VECTORS] = {};
    for (Size k = 0; k < inner; k++, panel += PANEL) {
        V b[VECTORS];
        for (int j = 0; j < VECTORS; j++) b[j] = load(panel + j * LANES);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < VECTORS; j++) sum[i][j] += a[i * a_row + k] * b[j];
    }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < VECTORS; j++) {
            Size left = columns - j * LANES;
            if (left <= 0) break;
            float* target = c + i * c_row + j * LANES;
            put(target, add ? get(target, left) + sum[i][j] : sum[i][j], left);
        }
}

// C (rows x columns) = or += A (rows x inner) times a packed matrix.
void multiply(Size rows, const float* a, Size a_row, Size inner, const float* packed, Size columns, float* c,
              Size c_row, bool add) {
    for (Size n0 = 0; n0 < columns; n0 += PANEL) {
        const float* panel = packed + n0 * inner;
        Size count = smaller(PANEL, columns - n0), row = 0;
        for (; row + ROWS <= rows; row += ROWS)
            multiply_block<ROWS>(a + row * a_row, a_row, inner, panel, c + row * c_row + n0, c_row, count, add);
        for (; row + 2 <= rows; row += 2)
            multiply_block<2>(a + row * a_row, a_row, inner, panel, c + row * c_row + n0, c_row, count, add);
        for (; row < rows; row++)
            multiply_block<1>(a + row * a_row, a_row, inner, panel, c + row * c_row + n0, c_row, count, add);
    }
}

// Packs in parallel, then lets every thread run its rows through all time steps: no thread waits for another.
template <typename Work>
int run_rows(int threads, Size batch, Size units, Size inner, Size columns, const float* matrix, Size by_row,
             Size by_column, Work work) {
    if (!batch || !units) return 0;
    static thread_local Scratch scratch;
    float* packed = scratch.floats(packed_size(inner, columns));
    if (!packed) return 1;
    Size panels = (columns + PANEL - 1) / PANEL;
    if (threads > batch) threads = int(batch);
    if (threads <= 1) {
        pack(matrix, by_row, by_column, inner, columns, 0, panels, packed);
        work(Share(batch, 1, 0), packed);
        return 0;
    }
#pragma omp parallel num_threads(threads)
    {
        Share mine(panels, team_size(), this_thread());
        pack(matrix, by_row, by_column, inner, columns, mine.first, mine.last, packed);
#pragma omp barrier
        work(Share(batch, team_size(), this_thread()), packed);
    }
    return 0;
}

// --- LSTM -------------------------------------------------------------------------------

// gates (time, batch, 4 units): comes as the projected inputs, leaves as the gates i, f, candidate, o.
// outputs, cells (time + 1, batch, units): the first step holds the initial states.
int lstm_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel, float* gates,
                 float* outputs, float* cells) {
    Size width = 4 * units;
    return run_rows(threads, batch, units, units, width, recurrent_kernel, width, 1, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        for (Size t = 0; t < time; t++) {
            float* gate = gates + (t * batch + mine.first) * width;
            const float* h = outputs + (t * batch + mine.first) * units;
            const float* c = cells + (t * batch + mine.first) * units;
            float* h_new = outputs + ((t + 1) * batch + mine.first) * units;
            float* c_new = cells + ((t + 1) * batch + mine.first) * units;
            multiply(rows, h, units, units, packed, width, gate, width, true);
            for (Size row = 0; row < rows; row++, gate += width, c += units, h_new += units, c_new += units)
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V i = sigmoid(get(gate + u, left)), f = sigmoid(get(gate + units + u, left));
                    V g = tanh(get(gate + 2 * units + u, left)), o = sigmoid(get(gate + 3 * units + u, left));
                    V cell = f * get(c + u, left) + i * g;
                    put(gate + u, i, left);
                    put(gate + units + u, f, left);
                    put(gate + 2 * units + u, g, left);
                    put(gate + 3 * units + u, o, left);
                    put(c_new + u, cell, left);
                    put(h_new + u, o * tanh(cell), left);
                }
        }
    });
}

// d_outputs, d_cells: gradients of every output and cell state, or null. d_h, d_c (batch, units): come as what the
// last states get beside that, leave as the gradients of the initial states. d_gates (time, batch, 4 units) is filled.
int lstm_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel, const float* gates,
                  const float* cells, const float* d_outputs, Size by_time, Size by_sample, const float* d_cells,
                  Size cells_by_time, Size cells_by_sample, float* d_gates, float* d_bias, float* d_h, float* d_c) {
    Size width = 4 * units;
    return run_rows(threads, batch, units, width, units, recurrent_kernel, 1, width, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        float* sum = d_bias + mine.thread * width;
        for (Size t = time - 1; t >= 0; t--) {
            for (Size sample = mine.first; sample < mine.last; sample++) {
                const float* gate = gates + (t * batch + sample) * width;
                float* d_gate = d_gates + (t * batch + sample) * width;
                const float* before = cells + (t * batch + sample) * units;
                const float* after = before + batch * units;
                const float* given = d_outputs ? d_outputs + t * by_time + sample * by_sample : nullptr;
                const float* given_cell = d_cells ? d_cells + t * cells_by_time + sample * cells_by_sample : nullptr;
                float *dh = d_h + sample * units, *dc = d_c + sample * units;
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V i = get(gate + u, left), f = get(gate + units + u, left);
                    V g = get(gate + 2 * units + u, left), o = get(gate + 3 * units + u, left);
                    V squeezed = tanh(get(after + u, left));
                    V to_h = get(dh + u, left), to_c = get(dc + u, left);
                    if (given) to_h += get(given + u, left);
                    if (given_cell) to_c += get(given_cell + u, left);
                    to_c += to_h * o * (1.0f - squeezed * squeezed);
                    put_and_add(d_gate + u, sum + u, to_c * g * i * (1.0f - i), left);
                    put_and_add(d_gate + units + u, sum + units + u, to_c * get(before + u, left) * f * (1.0f - f), left);
                    put_and_add(d_gate + 2 * units + u, sum + 2 * units + u, to_c * i * (1.0f - g * g), left);
                    put_and_add(d_gate + 3 * units + u, sum + 3 * units + u, to_h * squeezed * o * (1.0f - o), left);
                    put(dc + u, to_c * f, left);
                }
            }
            multiply(rows, d_gates + (t * batch + mine.first) * width, width, width, packed, units,
                     d_h + mine.first * units, units, false);
        }
    });
}

// --- GRU, reset gate after the product ----------------------------------------------------

// gates (time, batch, 3 units): comes as the projected inputs, leaves as z, r, candidate.
// inner (time, batch, units) becomes the recurrent part of the candidate before the reset gate.
int gru_forward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel,
                const float* recurrent_bias, float* gates, float* inner, float* outputs) {
    Size width = 3 * units;
    int memory = 0;
    int failed = run_rows(threads, batch, units, units, width, recurrent_kernel, width, 1, [=, &memory](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        static thread_local Scratch scratch;
        float* sums = scratch.floats(rows * width);
        if (!sums) {
            memory = 1;
            return;
        }
        for (Size t = 0; t < time; t++) {
            const float* h = outputs + (t * batch + mine.first) * units;
            float* h_new = outputs + ((t + 1) * batch + mine.first) * units;
            float* gate = gates + (t * batch + mine.first) * width;
            float* kept = inner + (t * batch + mine.first) * units;
            multiply(rows, h, units, units, packed, width, sums, width, false);
            const float* sum = sums;
            for (Size row = 0; row < rows; row++, sum += width, gate += width, kept += units, h += units, h_new += units)
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V sum_z = get(sum + u, left), sum_r = get(sum + units + u, left);
                    V part = get(sum + 2 * units + u, left);
                    if (recurrent_bias) {
                        sum_z += get(recurrent_bias + u, left);
                        sum_r += get(recurrent_bias + units + u, left);
                        part += get(recurrent_bias + 2 * units + u, left);
                    }
                    V z = sigmoid(get(gate + u, left) + sum_z), r = sigmoid(get(gate + units + u, left) + sum_r);
                    V candidate = tanh(get(gate + 2 * units + u, left) + r * part);
                    put(gate + u, z, left);
                    put(gate + units + u, r, left);
                    put(gate + 2 * units + u, candidate, left);
                    put(kept + u, part, left);
                    put(h_new + u, candidate + z * (get(h + u, left) - candidate), left);
                }
        }
    });
    return failed || memory;
}

// d_gates (time, batch, 4 units) becomes the gradients of: the candidate's recurrent part, z, r, its input part.
int gru_backward(int threads, Size time, Size batch, Size units, const float* recurrent_kernel, const float* gates,
                 const float* inner, const float* outputs, const float* d_outputs, Size by_time, Size by_sample,
                 float* d_gates, float* d_bias, float* d_h) {
    Size width = 3 * units, d_width = 4 * units;
    // Rows of the transposed recurrent kernel in the order candidate, z, r.
    float* turned = static_cast<float*>(std::malloc(size_t(width * units + 1) * 4));
    if (!turned) return 1;
    for (Size k = 0; k < units; k++) {
        std::memcpy(turned + k * width, recurrent_kernel + k * width + 2 * units, size_t(units) * 4);
        std::memcpy(turned + k * width + units, recurrent_kernel + k * width, size_t(2 * units) * 4);
    }
    int failed = run_rows(threads, batch, units, width, units, turned, 1, width, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        float* sum = d_bias + mine.thread * d_width;
        for (Size t = time - 1; t >= 0; t--) {
            for (Size sample = mine.first; sample < mine.last; sample++) {
                const float* gate = gates + (t * batch + sample) * width;
                const float* part = inner + (t * batch + sample) * units;
                const float* before = outputs + (t * batch + sample) * units;
                const float* given = d_outputs ? d_outputs + t * by_time + sample * by_sample : nullptr;
                float *d = d_gates + (t * batch + sample) * d_width, *dh = d_h + sample * units;
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V z = get(gate + u, left), r = get(gate + units + u, left), g = get(gate + 2 * units + u, left);
                    V to_h = get(dh + u, left);
                    if (given) to_h += get(given + u, left);
                    V to_g = to_h * (1.0f - z) * (1.0f - g * g);
                    V to_z = to_h * (get(before + u, left) - g) * z * (1.0f - z);
                    put_and_add(d + u, sum + u, to_g * r, left);
                    put_and_add(d + units + u, sum + units + u, to_z, left);
                    put_and_add(d + 2 * units + u, sum + 2 * units + u, to_g * get(part + u, left) * r * (1.0f - r), left);
                    put_and_add(d + 3 * units + u, sum + 3 * units + u, to_g, left);
                    put(dh + u, to_h * z, left);
                }
            }
            multiply(rows, d_gates + (t * batch + mine.first) * d_width, d_width, width, packed, units,
                     d_h + mine.first * units, units, true);
        }
    });
    std::free(turned);
    return failed;
}

// --- simple recurrent network --------------------------------------------------------------

// outputs (time + 1, batch, units): the initial state, then the projected inputs, which become the outputs.
int simple_rnn_forward(int threads, Size time, Size batch, Size units, int relu, const float* recurrent_kernel,
                       float* outputs) {
    return run_rows(threads, batch, units, units, units, recurrent_kernel, units, 1, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        for (Size t = 0; t < time; t++) {
            float* h = outputs + (t * batch + mine.first) * units;
            float* h_new = h + batch * units;
            multiply(rows, h, units, units, packed, units, h_new, units, true);
            for (Size n = 0; n < rows * units; n += LANES) {
                Size left = rows * units - n;
                V sum = get(h_new + n, left);
                put(h_new + n, relu ? (sum < 0.0f ? V{} : sum) : tanh(sum), left);
            }
        }
    });
}

int simple_rnn_backward(int threads, Size time, Size batch, Size units, int relu, const float* recurrent_kernel,
                        const float* outputs, const float* d_outputs, Size by_time, Size by_sample, float* d_sums,
                        float* d_bias, float* d_h) {
    return run_rows(threads, batch, units, units, units, recurrent_kernel, 1, units, [=](Share mine, const float* packed) {
        Size rows = mine.last - mine.first;
        float* sum = d_bias + mine.thread * units;
        for (Size t = time - 1; t >= 0; t--) {
            for (Size sample = mine.first; sample < mine.last; sample++) {
                const float* h = outputs + ((t + 1) * batch + sample) * units;
                const float* given = d_outputs ? d_outputs + t * by_time + sample * by_sample : nullptr;
                float *d = d_sums + (t * batch + sample) * units, *dh = d_h + sample * units;
                for (Size u = 0; u < units; u += LANES) {
                    Size left = units - u;
                    V out = get(h + u, left), to_h = get(dh + u, left);
                    if (given) to_h += get(given + u, left);
                    put_and_add(d + u, sum + u, relu ? (out <= 0.0f ? V{} : to_h) : to_h * (1.0f - out * out), left);
                }
            }
            multiply(rows, d_sums + (t * batch + mine.first) * units, units, units, packed, units,
                     d_h + mine.first * units, units, false);
        }
    });
}

// --- splitting work ----------------------------------------------------------------------

// Calls work(first, last) for parts of `count`, in as many threads as the work is worth.
template <typename Work>
inline void split(int threads, Size count, Size work_per_item, Work work) {
    Size worth = count * work_per_item / 16384;
    if (threads > worth) threads = int(worth);
    if (threads <= 1) {
        if (count) work(Size(0), count);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        Share mine(count, team_size(), this_thread());
        if (mine.first < mine.last) work(mine.first, mine.last);
    }
}

// --- dropout -----------------------------------------------------------------------------

typedef uint32_t VU __attribute__((vector_size(LANES * 4)));

inline VU lane_numbers() {
    VU numbers;
    for (int n = 0; n < LANES; n++) numbers[n] = uint32_t(n);
    return numbers;
}

// A 32-bit hash of each place and the mixed seed: two rounds of xor, shift and multiply (constants: C. Wellons, T. Ettinger).
inline VU scattered(Size place, Size seed) {
    VU x = lane_numbers() + uint32_t(place) + uint32_t(seed);
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = x ^ uint32_t(uint64_t(seed) >> 32) ^ uint32_t(uint64_t(place) >> 32);
    x = (x ^ (x >> 15)) * 0xd35a2d97u;
    return x ^ (x >> 15);
}

// The factor of each number: `scale` where it is kept, 0 where it is dropped.
inline V kept(Size place, Size seed, uint32_t dropped, float scale) {
    return scattered(place, seed) >= dropped ? V{} + scale : V{};
}

int dropout(int threads, Size count, Size seed, Size dropped, double scale, const float* from, float* to) {
    uint32_t limit = uint32_t(dropped);
    float factor = float(scale);
    seed = mixed(seed);
    split(threads, (count + LANES - 1) / LANES, 2 * LANES, [=](Size first, Size last) {
        for (Size n = first * LANES; n < smaller(last * LANES, count); n += LANES)
            put(to + n, get(from + n, count - n) * kept(n, seed, limit, factor), count - n);
    });
    return 0;
}

// --- bias, activation and dropout, there and back --------------------------------------------

struct Ending {  // how a layer ends
    int activation;
    Size seed;
    uint32_t dropped;
    float scale;
};

template <int ACTIVATION, bool DROPS>
inline void activate_rows(Size first, Size last, Size columns, Ending ending, const float* bias, float* y) {
    for (Size row = first; row < last; row++) {
        float* at = y + row * columns;
        for (Size n = 0; n < columns; n += LANES) {
            Size left = columns - n;
            V v = get(at + n, left);
            if (bias) v += get(bias + n, left);
            if (ACTIVATION == RELU) v = v < 0.0f ? V{} : v;
            if (ACTIVATION == TANH) v = tanh(v);
            if (ACTIVATION == SIGMOID) v = sigmoid(v);
            if (DROPS) v *= kept(row * columns + n, ending.seed, ending.dropped, ending.scale);
            put(at + n, v, left);
        }
    }
}

// dy becomes the gradient before the activation, d_bias its sum over the rows; for columns first to last.
template <int ACTIVATION, bool DROPS>
inline void activate_back(Size first, Size last, Size rows, Size columns, Ending ending, const float* y, float* dy,
                          float* d_bias) {
    if (d_bias)
        for (Size n = first; n < last; n++) d_bias[n] = 0;
    float undo = DROPS ? 1.0f / ending.scale : 1.0f;
    for (Size row = 0; row < rows; row++)
        for (Size n = first; n < last; n += LANES) {
            Size left = last - n, at = row * columns + n;
            V d = get(dy + at, left);
            if (ACTIVATION == RELU) {
                // What was dropped is zero, like what relu cut off.
                d = get(y + at, left) <= 0.0f ? V{} : d;
                if (DROPS) d *= ending.scale;
            } else {
                if (DROPS) d *= kept(at, ending.seed, ending.dropped, ending.scale);
                if (ACTIVATION != LINEAR) {
                    V out = get(y + at, left) * undo;
                    d *= ACTIVATION == TANH ? 1.0f - out * out : out * (1.0f - out);
                }
            }
            if (ACTIVATION != LINEAR || DROPS) put(dy + at, d, left);
            if (d_bias) put(d_bias + n, get(d_bias + n, left) + d, left);
        }
}

template <int ACTIVATION, bool DROPS>
int activate(int threads, Size rows, Size columns, Ending ending, const float* bias, float* y) {
    split(threads, rows, columns * (ACTIVATION > RELU ? 8 : 2), [=](Size first, Size last) {
        activate_rows<ACTIVATION, DROPS>(first, last, columns, ending, bias, y);
    });
    return 0;
}

template <int ACTIVATION, bool DROPS>
int activate_backward(int threads, Size rows, Size columns, Ending ending, const float* y, float* dy, float* d_bias) {
    // By columns, so that each sum is in one hand.
    split(threads, (columns + LANES - 1) / LANES, rows * LANES * 2, [=](Size first, Size last) {
        activate_back<ACTIVATION, DROPS>(first * LANES, smaller(last * LANES, columns), rows, columns, ending, y, dy,
                                         d_bias);
    });
    return 0;
}

#define FOR_ENDING(function, ...)                                                                            \
    switch (ending.activation * 2 + (ending.dropped > 0)) {                                                  \
        case LINEAR * 2: return function<LINEAR, false>(__VA_ARGS__);                                        \
        case LINEAR * 2 + 1: return function<LINEAR, true>(__VA_ARGS__);                                     \
        case RELU * 2: return function<RELU, false>(__VA_ARGS__);                                            \
        case RELU * 2 + 1: return function<RELU, true>(__VA_ARGS__);                                         \
        case TANH * 2: return function<TANH, false>(__VA_ARGS__);                                            \
        case TANH * 2 + 1: return function<TANH, true>(__VA_ARGS__);                                         \
        case SIGMOID * 2: return function<SIGMOID, false>(__VA_ARGS__);                                      \
        default: return function<SIGMOID, true>(__VA_ARGS__);                                                \
    }

int activate_any(int threads, Size rows, Size columns, Ending ending, const float* bias, float* y) {
    FOR_ENDING(activate, threads, rows, columns, ending, bias, y)
}

int activate_backward_any(int threads, Size rows, Size columns, Ending ending, const float* y, float* dy,
                          float* d_bias) {
    FOR_ENDING(activate_backward, threads, rows, columns, ending, y, dy, d_bias)
}

#undef FOR_ENDING

// --- softmax and cross-entropy -----------------------------------------------------------------

// Of `classes` numbers: the greatest, and the first place where it stands. NaN is the greatest of all, as in torch.
inline float greatest(const float* x, Size classes, Size* where) {
    float best = x[0];
    *where = 0;
    for (Size n = 1; n < classes && best == best; n++)
        if (x[n] > best || x[n] != x[n]) {
            best = x[n];
            *where = n;
        }
    return best;
}

// e to the (x - most) for a row, written to `to` (which may be x); returns the sum.
inline float exponentials(const float* x, Size classes, float most, float* to) {
    float sum = 0;
    for (Size n = 0; n < classes; n += LANES) {
        Size left = smaller(classes - n, LANES);
        V e = exponential(get(x + n, classes - n) - most);
        put(to + n, e, classes - n);
        for (Size lane = 0; lane < left; lane++) sum += e[lane];
    }
    return sum;
}

int softmax(int threads, Size rows, Size classes, float* x) {
    split(threads, rows, classes * 8, [=](Size first, Size last) {
        for (Size row = first; row < last; row++) {
            float* at = x + row * classes;
            Size where;
            float sum = exponentials(at, classes, greatest(at, classes, &where), at);
            for (Size n = 0; n < classes; n++) at[n] /= sum;
        }
    });
    return 0;
}

// The mean of -log(probability of the label), its gradient with respect to the sums before the softmax, and how many
// rows have their greatest number at the label. loss_total gets rows times the mean, right_total the number of right
// rows; either may be null.
// From probabilities the share is cut to [1e-7, 1 - 1e-7], and no gradient flows where it was cut, as in Keras.
int crossentropy(bool from_logits, Size rows, Size classes, const float* x, const int64_t* labels,
                 float* d_x, float* loss_total, float* right_total) {
    double loss = 0;
    Size right = 0;
    int out_of_range = 0;
    for (Size row = 0; row < rows; row++) {
        const float* at = x + row * classes;
        float* d = d_x + row * classes;
        Size label = labels[row], where;
        if (label < 0 || label >= classes) {
            out_of_range = 1;
            break;
        }
        float most = greatest(at, classes, &where);
        right += where == label;
        if (from_logits) {
            float sum = exponentials(at, classes, most, d);
            loss += std::log(double(sum)) - double(at[label] - most);
            float scale = 1.0f / (sum * float(rows));
            for (Size n = 0; n < classes; n++) d[n] *= scale;
            d[label] -= 1.0f / float(rows);
        } else {
            float sum = 0;
            for (Size n = 0; n < classes; n++) sum += at[n];
            float share = at[label] / sum, low = 1e-7f, high = 1.0f - 1e-7f;
            float cut = share < low ? low : share > high ? high : share;
            loss -= std::log(double(cut));
            float scale = cut == share || share != share ? 1.0f / (sum * float(rows)) : 0.0f;
            for (Size n = 0; n < classes; n++) d[n] = at[n] * scale;
            d[label] -= scale * sum;
        }
    }
    if (out_of_range) return LABEL_OUT_OF_RANGE;
    if (loss_total) *loss_total += float(loss / double(rows)) * float(rows);
    if (right_total) *right_total += float(right);
    return 0;
}

// --- Adam ----------------------------------------------------------------------------------------

struct AdamSettings {
    double rate, beta_1, beta_2, epsilon, keep;
};

// Keras's formula: w is multiplied by `keep` (weight decay), m and v become running means of g and its square, and
// w -= rate * m / (sqrt(v) + epsilon).
int adam(int threads, Size count, const AdamSettings& settings, float* w, const float* g, float* m, float* v) {
    float a = float(settings.rate), b1 = float(1.0 - settings.beta_1), b2 = float(1.0 - settings.beta_2);
    float e = float(settings.epsilon), keep = float(settings.keep);
    split(threads, (count + LANES - 1) / LANES, LANES, [=](Size first, Size last) {
        for (Size n = first * LANES; n < smaller(last * LANES, count); n += LANES) {
            Size left = count - n;
            V gradient = get(g + n, left), mean = get(m + n, left), square = get(v + n, left);
            mean += (gradient - mean) * b1;
            square += (gradient * gradient - square) * b2;
            V root = {};
            for (int lane = 0; lane < LANES; lane++) root[lane] = std::sqrt(square[lane]);
            put(m + n, mean, left);
            put(v + n, square, left);
            put(w + n, get(w + n, left) * keep - a * mean / (root + e), left);
        }
    });
    return 0;
}

// --- programs ----------------------------------------------------------------------------------------

// C (rows x columns) = A times B, either of which may be given transposed; all row by row.
int multiply_any(Size flags, Size rows, Size columns, Size inner, const float* a, const float* b, float* c) {
    Size a_row = flags & TRANSPOSE_A ? 1 : inner, a_column = flags & TRANSPOSE_A ? rows : 1;
    Size b_row = flags & TRANSPOSE_B ? 1 : columns, b_column = flags & TRANSPOSE_B ? inner : 1;
    if (torch_gemm) {
        // To BLAS a matrix that lies row by row is a transposed one: C' = B' A'.
        int m = int(columns), n = int(rows), k = int(inner);
        int lead_b = int(flags & TRANSPOSE_B ? inner : columns), lead_a = int(flags & TRANSPOSE_A ? rows : inner);
        float one = 1, zero = 0;
        torch_gemm(flags & TRANSPOSE_B ? "T" : "N", flags & TRANSPOSE_A ? "T" : "N", &m, &n, &k, &one, b, &lead_b, a,
                   &lead_a, &zero, c, &m);
        return 0;
    }
    static thread_local Scratch scratch, turned;
    float* packed = scratch.floats(packed_size(inner, columns));
    if (!packed) return NO_MEMORY;
    pack(b, b_row, b_column, inner, columns, 0, (columns + PANEL - 1) / PANEL, packed);
    if (a_column != 1) {
        float* straight = turned.floats(rows * inner);
        if (!straight) return NO_MEMORY;
        for (Size row = 0; row < rows; row++)
            for (Size k = 0; k < inner; k++) straight[row * inner + k] = a[row * a_row + k * a_column];
        a = straight;
    }
    multiply(rows, a, inner, inner, packed, columns, c, columns, false);
    return 0;
}

int run(int threads, const Operation* operations, Size count) {
    for (Size n = 0; n < count; n++) {
        const Operation& one = operations[n];
        const int64_t* size = one.sizes;
        float* memory[5];
        for (int k = 0; k < 5; k++) memory[k] = static_cast<float*>(one.memory[k]);
        Ending ending = {int(one.flags), mixed(size[2]), uint32_t(size[3]), float(one.scale)};
        int failed = 0;
        switch (one.code) {
            case MULTIPLY:
                failed = multiply_any(one.flags, size[0], size[1], size[2], memory[0], memory[1], memory[2]);
                break;
            case ACTIVATE: failed = activate_any(threads, size[0], size[1], ending, memory[0], memory[1]); break;
            case ACTIVATE_BACKWARD:
                failed = activate_backward_any(threads, size[0], size[1], ending, memory[0], memory[1], memory[2]);
                break;
            case SOFTMAX: failed = softmax(threads, size[0], size[1], memory[0]); break;
            case CROSSENTROPY:
                failed = crossentropy(one.flags == FROM_LOGITS, size[0], size[1], memory[0],
                                      static_cast<const int64_t*>(one.memory[1]), memory[2], memory[3],
                                      memory[4]);
                break;
            case ADAM:
                failed = adam(threads, size[0], *static_cast<const AdamSettings*>(one.memory[4]), memory[0], memory[1],
                              memory[2], memory[3]);
                break;
            default: failed = NO_SUCH_OPERATION;
        }
        if (failed) return failed;
    }
    return 0;
}

}  // namespace SET
}  // namespace

#endif
