// MXNet's side of mxnetseg_pointwise. Inputs: maps of four axes, of one shape but for axes of length 1, of which height
// and width are both 1 or neither. Attributes: inputs, how many there are; program, e.g. "sub 0 1;mul 3 2;add 0 4": each
// step is a function and its operands, of which inputs have the first numbers and steps the next; "=0.5" is a number.

#include <sstream>

#include "../common.h"
#include "../memory.h"
#include "program.h"

using namespace mxnetseg;  // NOLINT
using mxnetseg::cpu::Function;
using mxnetseg::cpu::Operand;
using mxnetseg::cpu::Program;

namespace {

const std::string kPointwise = "mxnetseg_pointwise";

struct Known {
  const char* name;
  Function function;
  size_t operands;
};
constexpr Known kFunctions[] = {
    {"add", Function::kAdd, 2}, {"sub", Function::kSub, 2}, {"mul", Function::kMul, 2},        {"div", Function::kDiv, 2},
    {"max", Function::kMax, 2}, {"min", Function::kMin, 2}, {"sigmoid", Function::kSigmoid, 1}};

int inputs_of(const Attributes& given) {
  require_attributes(given, kPointwise, {"inputs", "program"});
  return integer(given, kPointwise, "inputs", 1, 1);
}

Operand operand(const std::string& text, int inputs, int steps) {
  const bool number = text[0] == '=';
  const double value = attribute(kPointwise, "program", number ? text.substr(1) : text, "steps like \"add 0 1;mul 2 =0.5\"",
                                [](const std::string& given, size_t* used) { return std::stod(given, used); });
  if (number) return {Operand::kNumber, 0, static_cast<float>(value)};
  const int index = static_cast<int>(value);
  if (index != value || index < 0 || index >= inputs + steps)
    fail(kPointwise + ": operand " + text + " is neither an input nor an earlier step");
  return index < inputs ? Operand{Operand::kInput, index, 0} : Operand{Operand::kResult, index - inputs, 0};
}

Program program_of(const Attributes& given) {
  const int inputs = inputs_of(given);
  Program program;
  std::istringstream steps(given.at("program"));
  for (std::string text; std::getline(steps, text, ';');) {
    std::istringstream words(text);
    std::string name;
    words >> name;
    const Known* found = nullptr;
    for (const Known& known : kFunctions)
      if (name == known.name) found = &known;
    if (!found) fail(kPointwise + ": there is no function called '" + name + "'");
    cpu::Step step{found->function, {}};
    for (std::string word; words >> word;) step.operands.push_back(operand(word, inputs, int(program.size())));
    if (step.operands.size() != found->operands)
      fail(kPointwise + ": " + name + " takes " + std::to_string(found->operands) + " operands, not " +
           std::to_string(step.operands.size()));
    program.push_back(step);
  }
  if (program.empty()) fail(kPointwise + ": the program is empty");
  return program;
}

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  program_of(given);
  *inputs = inputs_of(given);
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue types(const Attributes&, Types* in, Types* out) {
  same_type(kPointwise, in, out);
  if (in->at(0) >= 0 && in->at(0) != kFloat32) fail(kPointwise + ": float32 only; cast the inputs first");
  return MX_SUCCESS;
}

MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  require_known(kPointwise, std::vector<const char*>(in->size(), "an input"), *in, std::vector<size_t>(in->size(), 4));
  Shape whole(4, 1);
  for (const Shape& shape : *in)
    for (int axis = 0; axis < 4; ++axis) whole[axis] = std::max(whole[axis], shape[axis]);
  for (const Shape& shape : *in) {
    bool fits = (shape[2] == whole[2] && shape[3] == whole[3]) || (shape[2] == 1 && shape[3] == 1);
    for (int axis = 0; axis < 2; ++axis) fits = fits && (shape[axis] == whole[axis] || shape[axis] == 1);
    if (!fits) fail(kPointwise + ": an input of " + text(shape) + " does not fit others, which make " + text(whole));
  }
  out->at(0) = whole;
  return MX_SUCCESS;
}

// Where an input's numbers begin for image n and channel c, and whether one stands for a whole map.
struct Source {
  const float* data;
  int64_t image, channel;
  bool one;
};

MXReturnValue forward(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  const Program program = program_of(given);
  const auto& shape = out->at(0).shape;
  const int64_t channels = shape[1], pixels = shape[2] * shape[3];
  std::vector<Source> sources;
  for (MXTensor& tensor : *in) {
    const int64_t size = tensor.shape[2] * tensor.shape[3];
    sources.push_back({tensor.data<float>(), tensor.shape[0] > 1 ? tensor.shape[1] * size : 0,
                       tensor.shape[1] > 1 ? size : 0, size != pixels});
  }
  const int64_t runs = (pixels + cpu::kRun - 1) / cpu::kRun, of_thread = program.size() * cpu::kRun;
  const int threads = cpu::threads();
  const Workspace<float> scratch(resource, threads * of_thread);
  float* const results = scratch.data();
  float* const to = out->at(0).data<float>();
#pragma omp parallel num_threads(threads)
  {
    std::vector<cpu::Numbers> inputs(sources.size());
#pragma omp for schedule(static)
    for (int64_t item = 0; item < shape[0] * channels * runs; ++item) {
      const int64_t map = item / runs, first = item % runs * cpu::kRun;
      for (size_t i = 0; i < sources.size(); ++i) {
        const Source& source = sources[i];
        const float* const begin = source.data + map / channels * source.image + map % channels * source.channel;
        inputs[i] = {source.one ? begin : begin + first, source.one};
      }
      cpu::run(program, inputs, static_cast<int>(std::min<int64_t>(cpu::kRun, pixels - first)),
               results + cpu::thread() * of_thread, to + map * pixels + first);
    }
  }
  return MX_SUCCESS;
}

}  // namespace

REGISTER_OP(mxnetseg_pointwise)
    .setParseAttrs(attributes)
    .setInferType(types)
    .setInferShape(shapes)
    .setForward(forward, "cpu")
    .setBackward(no_gradient<kPointwise>, "cpu");
