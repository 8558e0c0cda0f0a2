package bench.matching;

/** Where the fields of a need's record lie. */
final class Need {
  static final int WIDTH = Layout.of("need");
  static final int STANDARDS = Layout.of("need.standards");
  static final int LANGUAGES = Layout.of("need.languages");
  static final int QUANTITY = Layout.of("need.quantity");
  static final int BUDGET = Layout.of("need.budget");
  static final int LOW = Layout.of("need.low");
  static final int HIGH = Layout.of("need.high");
  static final int WANTED = Layout.of("need.wanted");
  static final int WANTED_EACH = Layout.of("need.wanted.number") / Layout.of("need.low.number");
  static final int ATTRIBUTE = Layout.of("need.attribute");
  static final int MANDATORY = Layout.of("need.mandatory");
  static final int REQUIREMENTS = Layout.of("need.requirements");
  static final int TECHNOLOGY = Layout.of("need.technology");
  static final int FIELD = Layout.of("need.field");
  static final int COUNTRY = Layout.of("need.country");
  static final int CURRENCY = Layout.of("need.currency");
  static final int DAYS = Layout.of("need.days");

  private Need() {}
}
