package bench.matching;

/** Where the fields of an offering's record lie. */
final class Offering {
  static final int WIDTH = Layout.of("offering");
  static final int SERVES = Layout.of("offering.serves");
  static final int INTERESTED_IN = Layout.of("offering.interested_in");
  static final int STANDARDS = Layout.of("offering.standards");
  static final int LANGUAGES = Layout.of("offering.languages");
  static final int MINIMUM = Layout.of("offering.minimum");
  static final int MAXIMUM = Layout.of("offering.maximum");
  static final int TIER_QUANTITY = Layout.of("offering.tier_quantity");
  static final int TIER_PRICE = Layout.of("offering.tier_price");
  static final int ATTRIBUTE_VALUE = Layout.of("offering.attribute_value");
  static final int ATTRIBUTE = Layout.of("offering.attribute");
  static final int ATTRIBUTES = Layout.of("offering.attribute.number");
  static final int RANK = Layout.of("offering.rank");
  static final int LEAD_TIME = Layout.of("offering.lead_time");
  static final int TECHNOLOGIES = Layout.of("offering.technologies");
  static final int FIELDS = Layout.of("offering.fields");
  static final int CURRENCY = Layout.of("offering.currency");
  static final int TIERS = Layout.of("offering.tiers");
  static final int INCREMENTAL = Layout.of("offering.incremental");

  private Offering() {}
}
