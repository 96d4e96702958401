// MXNet's side of mxnetseg_pointwise. Inputs: maps of four axes, of one shape but for axes of length 1, of which height
// and width are both 1 or neither. Attributes: inputs, how many there are; program, e.g. "sub 0 1;mul 3 2;add 0 4": each
// step is a function and its operands, of which inputs have the first numbers and steps the next; "=0.5" is a number.
//
// With `steps`, a number for each input, inputs may be 8-bit integers, which stand for so many times as much. With out_type
// "uint8" or "int8" the output is of these, and min_calib_range and max_calib_range say which values the greatest stand
// for; they are two further outputs, as of MXNet's quantized operators.

#include <memory>
#include <sstream>

#include "../common.h"
#include "../memory.h"
#include "quantized.h"

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
    {"max", Function::kMax, 2}, {"min", Function::kMin, 2}, {"sigmoid", Function::kSigmoid, 1},
    {"gelu", Function::kGelu, 1}};

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

// Of each input, what one means where it is an 8-bit integer; empty where none may be.
std::vector<float> steps_of(const Attributes& given) {
  std::vector<float> steps;
  if (!given.count("steps")) return steps;
  std::istringstream words(given.at("steps"));
  for (std::string word; words >> word;) {
    const Attributes one{{"steps", word}};
    steps.push_back(static_cast<float>(number(one, kPointwise, "steps")));
    if (!(steps.back() > 0)) fail(kPointwise + ": steps=" + given.at("steps") + " must be greater than 0");
  }
  if (int(steps.size()) != inputs_of(given)) fail(kPointwise + ": steps needs a number for each input");
  return steps;
}

bool gives_floats(const Attributes& given) {
  const auto found = given.find("out_type");
  return found == given.end() || found->second == "float32";
}

MXReturnValue attributes(const Attributes& given, int* inputs, int* outputs) {
  program_of(given);
  steps_of(given);
  *inputs = inputs_of(given);
  *outputs = 1;
  if (!gives_floats(given)) {
    QuantizedOutput(kPointwise, given);
    *outputs = 3;
  }
  return MX_SUCCESS;
}

MXReturnValue types(const Attributes& given, Types* in, Types* out) {
  const bool narrow = given.count("steps");
  for (int& type : *in) {
    if (type < 0 && !narrow) type = kFloat32;
    if (type < 0 || type == kFloat32 || (narrow && (type == kUint8 || type == kInt8))) continue;
    fail(kPointwise + (narrow ? ": float32, uint8 and int8 only" : ": float32 only; cast the inputs first"));
  }
  std::fill(out->begin(), out->end(), int(kFloat32));
  if (!gives_floats(given)) out->at(0) = QuantizedOutput(kPointwise, given).dtype();
  return MX_SUCCESS;
}

// Inputs of one shape may have any number of axes.
MXReturnValue shapes(const Attributes&, Shapes* in, Shapes* out) {
  Shape whole = in->at(0);
  for (const Shape& shape : *in)
    if (shape != whole) whole.clear();
  const std::vector<const char*> names(in->size(), "an input");
  require_known(kPointwise, names, *in, std::vector<size_t>(in->size(), whole.empty() ? 4 : whole.size()));
  if (whole.empty()) {
    whole.assign(4, 1);
    for (const Shape& shape : *in)
      for (int axis = 0; axis < 4; ++axis) whole[axis] = std::max(whole[axis], shape[axis]);
    for (const Shape& shape : *in) {
      bool fits = (shape[2] == whole[2] && shape[3] == whole[3]) || (shape[2] == 1 && shape[3] == 1);
      for (int axis = 0; axis < 2; ++axis) fits = fits && (shape[axis] == whole[axis] || shape[axis] == 1);
      if (!fits) fail(kPointwise + ": an input of " + text(shape) + " does not fit others, which make " + text(whole));
    }
  }
  std::fill(out->begin(), out->end(), Shape{1});
  out->at(0) = whole;
  return MX_SUCCESS;
}

// Where an input's numbers begin for an image and a channel, and whether one stands for a whole map.
struct Source {
  const uint8_t* data;
  int64_t image, channel;  // bytes
  bool one, floats;
  Quantized type;  // if they are no floats
};

MXReturnValue forward(const Attributes& given, Tensors* in, Tensors* out, const OpResource& resource) {
  const Program program = program_of(given);
  const std::vector<float> steps = steps_of(given);
  const int threads = cpu::threads();
  const auto& shape = out->at(0).shape;
  int64_t images = 1, channels = 1, pixels = out->at(0).size();
  if (shape.size() == 4) images = shape[0], channels = shape[1], pixels = shape[2] * shape[3];
  std::vector<Source> sources;
  for (size_t i = 0; i < in->size(); ++i) {
    MXTensor& tensor = in->at(i);
    const bool floats = tensor.dtype == kFloat32;
    Source source{tensor.data<uint8_t>(), 0, 0, false, floats, {tensor.dtype == kInt8, floats ? 1 : steps[i]}};
    if (shape.size() == 4) {
      const int64_t size = tensor.shape[2] * tensor.shape[3], bytes = size * (floats ? sizeof(float) : 1);
      source.image = tensor.shape[0] > 1 ? tensor.shape[1] * bytes : 0;
      source.channel = tensor.shape[1] > 1 ? bytes : 0;
      source.one = size != pixels;
    }
    sources.push_back(source);
  }
  uint8_t* const to = out->at(0).data<uint8_t>();
  std::unique_ptr<QuantizedOutput> quantized;
  if (!gives_floats(given)) {
    quantized.reset(new QuantizedOutput(kPointwise, given));
    quantized->write_range(out);
    if (sources.size() == 1 && !sources[0].floats) {
      cpu::Table(program, sources[0].type, quantized->type).map(sources[0].data, images * channels * pixels, threads, to);
      return MX_SUCCESS;
    }
  }
  const int64_t runs = (pixels + cpu::kRun - 1) / cpu::kRun;
  const int64_t of_thread = (program.size() + sources.size() + 1) * cpu::kRun;
  const Workspace<float> scratch(resource, threads * of_thread);
#pragma omp parallel num_threads(threads)
  {
    float* const results = scratch.data() + cpu::thread() * of_thread;
    float* const result = results + program.size() * cpu::kRun;  // of the last step, and behind it the inputs
    std::vector<cpu::Numbers> inputs(sources.size());
#pragma omp for schedule(static)
    for (int64_t item = 0; item < images * channels * runs; ++item) {
      const int64_t map = item / runs, first = item % runs * cpu::kRun;
      const int count = static_cast<int>(std::min<int64_t>(cpu::kRun, pixels - first));
      for (size_t i = 0; i < sources.size(); ++i) {
        const Source& source = sources[i];
        const uint8_t* const begin = source.data + map / channels * source.image + map % channels * source.channel;
        const int64_t skipped = source.one ? 0 : first;
        float* const read = result + (i + 1) * cpu::kRun;
        inputs[i] = {source.floats ? reinterpret_cast<const float*>(begin) + skipped : read, source.one};
        if (!source.floats)
          cpu::read(begin + skipped, source.type, source.one ? 1 : count, read);
      }
      const int64_t at = map * pixels + first;
      cpu::run(program, inputs, count, results, quantized ? result : reinterpret_cast<float*>(to) + at);
      if (quantized) cpu::write(result, quantized->type, count, to + at);
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
